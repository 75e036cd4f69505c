//! In which language a text is written.

use std::{collections::HashMap, sync::LazyLock};

use whatlang::{Detector, Lang};

pub use crate::language::Language;

/// Bytes of a text that are looked at.
const TEXT_LIMIT: usize = 4000;
/// Words that a text needs before letters alone decide.
const WORDS_FOR_LETTERS: usize = 6;
/// What whatlang's guess weighs, in stop words.
const GUESS_WEIGHT: f64 = 1.5;

/// Frequent words of each language. What two share counts for both; each neighbour has some that the other lacks.
const STOP_WORDS: [(Language, &str); 7] = [
    (
        Language::Nb,
        "jeg ikke er det en et og på til for med som av har kan hva hvor hvordan hvilken noe noen dere deres vi deg meg \
         fra eller når også bare mye mer litt være hei takk hilsen ønsker ser etter blir gjerne å si under skal vil hei \
         bilen bil prøvekjøring henvendelsen om nå så først allerede selge kjøpe lurer takk hennes hun fortsatt blitt \
         hyggelig tilgjengelig kommer kontakt oss solgt",
    ),
    (
        Language::Nn,
        "eg ikkje er det ein eit og på til for med som av har kan kva kor korleis kva nokon noko de dykk dykkar vi deg \
         meg frå eller når også berre mykje meir litt vere hei takk helsing ønskjer ser etter blir gjerne å seie kva oss kontakt seld \
         kven skal vil bilen bil prøvekøyring førespurnaden om no så fyrst allereie selje kjøpe lurer me ho dei sjå \
         høyre kjem gjer tek kontakt kvifor mogleg enno koma finst interessert prøvekøyre",
    ),
    (
        Language::En,
        "i the is a an and of to for with that have has can what where how which you your we us me from or when also \
         only much more hello hi thanks thank regards would like looking still available be are am do does it this in \
         on my at if there will not any about please interested car",
    ),
    (
        Language::Sv,
        "jag inte är det en ett och på till för med som av har kan vad var hur vilken något några ni era er vi dig mig \
         från eller när också bara mycket mer lite vara hej tack hälsningar önskar skulle vilja efter blir gärna att \
         säga ska vill bilen bil provkörning om nu så först redan sälja köpa undrar kvar fortfarande finns den jag",
    ),
    (
        Language::Da,
        "jeg ikke er det en et og på til for med som af har kan hvad hvor hvordan hvilken noget nogen i jeres vi dig \
         mig fra eller hvornår også bare meget mere lidt være hej tak hilsen ønsker ser efter bliver gerne at sige skal \
         vil bilen bil prøvetur henvendelsen om nu så først allerede sælge købe spørger stadig den kunne jer må gerne \
         jeres kigge os blevet solgt kommer kontakt hyggeligt",
    ),
    (
        Language::Pl,
        "ja nie jest to i w na z że się do czy jak co gdzie który jaki mam pan pani państwo państwa nas mnie od lub \
         kiedy też tylko dużo więcej dzień dobry dziękuję dziękujemy pozdrawiam chciałbym chciałabym proszę samochód \
         auto jeszcze dostępny jazda próbna o za po dla są będzie może można po prosze chcialbym czesc cześć jestem \
         zainteresowany witam ile kosztuje tym a tak rok przebieg cena wynosi jesteśmy nasz który skontaktuje się \
         państwu panu pani oraz ten ta te tego aby żeby też",
    ),
    (
        Language::De,
        "ich nicht ist das ein eine und auf zu für mit der die von hat haben kann was wo wie welche sie ihr wir uns \
         mich aus oder wann auch nur viel mehr hallo danke grüße möchte noch verfügbar den dem auto wagen sind bin bei \
         es im gibt guten tag probefahrt gerne würde bitte",
    ),
];

static WORDS: LazyLock<HashMap<&'static str, Vec<Language>>> = LazyLock::new(|| {
    let mut words: HashMap<_, Vec<_>> = HashMap::new();
    for (language, list) in STOP_WORDS {
        for word in list.split_whitespace() {
            let of = words.entry(word).or_default();
            if !of.contains(&language) {
                of.push(language);
            }
        }
    }
    words
});

static DETECTOR: LazyLock<Detector> =
    LazyLock::new(|| Detector::with_allowlist(vec![Lang::Nob, Lang::Eng, Lang::Swe, Lang::Dan, Lang::Pol, Lang::Deu]));

/// The language of a customer's text; `fallback` where it is too short or unclear.
pub fn of(text: &str, fallback: Language) -> Language {
    detect(text).unwrap_or(fallback)
}

/// The language that a text is likely written in.
pub fn detect(text: &str) -> Option<Language> {
    let [(best, language), (second, runner_up), ..] = scores(text);
    if best < 1.5 {
        return None;
    }
    // Where it may as well be Bokmål, the more usual one is it.
    let near = [language, runner_up].iter().all(|one| matches!(one, Language::Nb | Language::Nn | Language::Da));
    match best > second {
        true => Some(language),
        false if near => Some(Language::Nb),
        false => None,
    }
}

/// The languages that a text has much of, the likeliest first: none of the others comes near.
pub(super) fn clearly(text: &str) -> Vec<Language> {
    let scores = scores(text);
    let best = scores[0].0;
    let near = scores.iter().filter(|(score, _)| best >= 3.0 && *score * 2.0 > best);
    near.map(|(_, language)| *language).collect()
}

/// How much each language there is in a text, the most first.
fn scores(text: &str) -> [(f64, Language); 7] {
    let text = text[..text.floor_char_boundary(TEXT_LIMIT)].to_lowercase();
    let words: Vec<_> = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
    let mut scores: [(f64, Language); 7] = Language::ALL.map(|language| (0.0, language));
    for languages in words.iter().filter_map(|word| WORDS.get(word)) {
        for language in languages {
            // A word of one language alone tells more than one of three.
            scores[*language as usize].0 += [1.5, 1.0, 0.75, 0.5][(languages.len() - 1).min(3)];
        }
    }
    // Whatlang knows one Norwegian: its guess counts for both.
    if words.len() >= WORDS_FOR_LETTERS
        && let Some(guess) = DETECTOR.detect(&text)
    {
        for language in languages_of(guess.lang()) {
            scores[*language as usize].0 += GUESS_WEIGHT * guess.confidence().max(0.3);
        }
    }
    scores.sort_by(|one, other| other.0.total_cmp(&one.0));
    scores
}

fn languages_of(lang: Lang) -> &'static [Language] {
    match lang {
        Lang::Nob => &[Language::Nb, Language::Nn],
        Lang::Eng => &[Language::En],
        Lang::Swe => &[Language::Sv],
        Lang::Dan => &[Language::Da],
        Lang::Pol => &[Language::Pl],
        Lang::Deu => &[Language::De],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_customers_write_is_told_apart() {
        let mut wrong = Vec::new();
        for (text, language) in [
            ("Hei! Er denne bilen fortsatt til salgs? Jeg kunne tenke meg en prøvekjøring.", Language::Nb),
            ("Hva er laveste pris på denne?", Language::Nb),
            ("Jeg lurer på om dere tar innbytte", Language::Nb),
            ("Hei, kan dere ringe meg?", Language::Nb),
            ("Hei! Er denne bilen framleis til sals? Eg kunne tenkje meg ei prøvekøyring.", Language::Nn),
            ("Eg lurer på om de tek innbyte", Language::Nn),
            ("Kva er lægste pris på denne? Eg vil gjerne sjå han", Language::Nn),
            ("Kor mykje har bilen gått, og er det mogleg å koma innom?", Language::Nn),
            ("Hi, is this car still available? I would like to book a test drive.", Language::En),
            ("Is it still for sale?", Language::En),
            ("Hej! Är bilen kvar? Jag skulle vilja provköra den.", Language::Sv),
            ("Finns bilen fortfarande och vad är priset?", Language::Sv),
            (
                "Hej, er bilen stadig til salg? Jeg vil gerne have en prøvetur og spørger også efter prisen.",
                Language::Da,
            ),
            ("Hvad koster bilen, og hvornår kan jeg købe den?", Language::Da),
            ("Dzień dobry, czy samochód jest jeszcze dostępny? Chciałbym umówić się na jazdę próbną.", Language::Pl),
            ("dzien dobry, czy auto jest aktualne? prosze o kontakt", Language::Pl),
            ("Guten Tag, ist der Wagen noch verfügbar? Ich möchte eine Probefahrt machen.", Language::De),
        ] {
            if detect(text) != Some(language) {
                wrong.push(format!("{text} is {language:?} and was read as {:?}", detect(text)));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_says_nothing_is_in_the_language_of_the_house() {
        for text in ["", "ok", "Tesla Model Y 2023", "429 000", "👍", "Ola Nordmann", "?", "Привет, есть машина?"]
        {
            assert_eq!(of(text, Language::Pl), Language::Pl, "{text}");
        }
    }
}

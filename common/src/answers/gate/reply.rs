//! A reply that is a reply: no gaps, no echo, no repetition, and nobody's signature.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use regex::Regex;

use super::{Reason, spelling};
use crate::answers::{
    facts::Facts,
    prompt::{self, suggestion},
    words::{any_of, expression, folded, sentences},
};

/// Words in a row that nobody repeats by chance.
const ECHO_WORDS: usize = 7;
/// Of the customer's words: what they asked for is often said again.
const QUOTE_WORDS: usize = 10;
const REPEATED_WORDS: usize = 6;

/// A line that greets, and whom.
static GREETING: LazyLock<Regex> = LazyLock::new(|| {
    let hello =
        "hei|hallo|heisann|hi|hello|dear|kjaere|hej|dzien dobry|czesc|witaj|guten tag|god dag|god morgen|god kveld";
    expression(&format!(r"^(?:{hello})_,? ?([a-z -]*)[,.!]?\s*$"))
});

/// Whom a reply greets, by capital letter.
static GREETED: LazyLock<Regex> = LazyLock::new(|| {
    let greeting = r"^(?:Hei|Hallo|Heisann|Hi|Hello|Dear|Kjære|Hej|Cześć|Witaj|Szanown\w+ Pan\w+) (?:og |på deg |Pan\w+ )?(\p{Lu}\p{Ll}+)";
    Regex::new(greeting).expect("it is tested")
});

static SIGNED: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[
        r"(?:med )?vennlig(?:e|st)? hils\w+",
        r"med venleg hels\w+",
        r"(?:beste|venlig|venleg|hjertelig) hels?\w+",
        r"beste hils\w+",
        r"mvh_",
        r"hilsen,? +(?:oss|teamet|selger|din|alle)",
        r"(?:kind|best|warm) regards",
        r"(?:yours )?sincerely",
        r"yours truly",
        r"(?:med )?vanliga? halsning\w*",
        r"med venlig hilsen",
        r"z powazaniem",
        r"pozdrawiam\w*",
        r"mit freundlichen",
        r"(?:freundliche|viele|beste|herzliche|liebe) grusse",
        r"mein name ist",
        r"ich bin [a-z]+ (?:von|vom|aus)",
        r"jeg heter",
        r"eg heiter",
        r"(?:mitt|mit) navn er",
        r"my name is",
        r"i am [a-z]+ from",
        r"jag heter",
        r"jeg hedder",
        r"nazywam sie",
        r"mam na imie",
        r"ich heisse",
    ])
});

/// Somebody of the dealership, by name.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    let roles = "selger|selgeren|seljar|seljaren|salgssjef|daglig leder|kollega|kollegaen min|kollegaen vår|rådgiver|advisor|salesperson|colleague|manager|säljare|kollegan|kollegor|sælger|sprzedawca|kolega|doradca|kierownik|Verkäufer|Verkäuferin|Berater|Beraterin|Kollege|Kollegin|Kollegen|Geschäftsführer";
    let pattern = format!(r"(?i:\b(?:{roles})),? (?:vår |our |min |my |nasz |)(\p{{Lu}}\p{{Ll}}+)\b");
    Regex::new(&pattern).expect("it is tested")
});

static GAPS: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[
        "xx+",
        "yyyy",
        "todo",
        "tbd",
        "lorem ipsum",
        r"(?:ditt|kundens?|firma|selgers?|forhandlers?|bil|etter|for)navn",
        r"(?:kunde|kundens|selgers|your|customer|dealer|dealership|first|company|agent) name",
        r"(?:sett|fyll) inn",
        r"insert_",
        r"(?:wstaw|imie klienta|nazwa firmy)",
        r"ola nordmann",
        r"kari nordmann",
        r"john doe",
        r"jan kowalski",
        r"undefined|nan_|null_",
        "12345678",
    ])
});
static CAPITAL_GAPS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"%\w+%|:navn|\((?:navn|name|dato|date|tid|pris|price|imię|kunde|modell|telefon|phone)\)|\b(?:NAVN|NAME|KUNDE\w*|CUSTOMER|DATO|DATE|PRIS|PRICE|IMIĘ|BILMODELL|TELEFON|DEALER\w*)\b|\.{4,}|…\s*…")
        .expect("it is tested")
});

/// What a reply says only of itself.
static SELF: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[
        r"ai_",
        r"ki_",
        r"kunstig intelli\w+",
        r"kunstig intelligens",
        r"artificial intell\w+",
        r"sztuczn\w+ intelig\w+",
        r"kunstliche intell\w+",
        r"(?:language|large|sprak|jezykow\w*) ?model\w*",
        r"sprakmodell\w*|sprachmodell\w*",
        r"model\w* jezykow\w*",
        r"llm_",
        r"chat ?(?:gpt|bot)\w*",
        r"gpt",
        r"openai",
        r"anthropic",
        r"claude",
        r"gemini",
        r"llama",
        r"mistral",
        r"deepseek",
        r"copilot",
        r"system ?(?:prompt|meld|instru|message|ledetekst)\w*",
        r"prompt\w*",
        r"ledetekst\w*",
        r"instruks\w*",
        r"instruct\w*",
        r"instrukcj\w*",
        r"instrukt\w*",
        r"anweisung\w*",
        r"(?:ignore|disregard|ignorer|ignorere|zignoruj|ignoruj|ignoring|ignorerar|ignorerte)\w*",
        r"jailbreak",
        r"developer mode",
        r"json",
        r"schema",
        r"needs.human",
        r"score.reasons?",
        r"(?:i was|i am|i'm|been) (?:told|asked|instructed|programmed|designed|trained)",
        r"(?:jeg|eg) (?:har fatt|er blitt|ble|vart|er) (?:beskjed|bedt|bedd|programmert|trent|opplaert|laget)",
        r"(?:moje|otrzymal\w*) (?:polecen|zadan)\w*",
        r"zaprogramowan\w*",
        r"(?:ich wurde|wurde ich|ich bin) (?:\w+ )?(?:angewiesen|programmiert|trainiert|gebeten)",
        r"(?:robot|bot|maskin|machine|automat)_",
        r"virtu\w+ assist\w*",
        r"(?:virtuell|digital|wirtualn)\w* assist\w*",
        r"asystent\w*",
        r"assistant_",
        r"as an? (?:assistant|automated)",
        r"(?:the|this) (?:document|data|facts) (?:says?|states?|does not|doesn't)",
        r"(?:opplysningene|faktaene|dataene|dokumentet) (?:jeg|eg|sier|seier)",
        r"(?:user|human|system|assistant) ?:",
        r"as requested, (?:here|i)",
        r"here(?:'s| is) (?:the|a|your) (?:reply|answer|response)",
        r"her er (?:svaret|et svar|utkast\w*|et utkast)",
        r"oto odpowiedz",
        r"utkast",
        r"customer_? ?message",
        r"vehicle_? ?interest",
    ])
});

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
static SYSTEM_RUNS: LazyLock<HashSet<u64>> = LazyLock::new(|| {
    let instructions = [prompt::SYSTEM, suggestion::SYSTEM];
    instructions.iter().flat_map(|system| runs(&words(&folded(system)), ECHO_WORDS).collect::<Vec<_>>()).collect()
});

/// The reply without a line that only greets this customer: that is added to every answer.
pub(super) fn without_greeting<'r>(reply: &'r str, facts: &Facts) -> &'r str {
    let line = reply.lines().next().unwrap_or_default();
    // A greeting of its own line, or the first sentence of one.
    let sentence = line.find('!').map_or(line, |at| &line[..=at]);
    let name = facts.customer.first_name.as_deref().unwrap_or_default();
    let first_name = folded(name);
    let is_theirs =
        |name: &str| name.is_empty() || name == first_name.trim() || ["der", "there", "igjen"].contains(&name);
    // What is left out is not looked at again. A name may have characters that no text of ours may have.
    let is_plain = |start: &str| spelling::check(&start.replacen(name, "", 1)).is_ok();
    let greets = |start: &&str| {
        start.len() < reply.len()
            && is_plain(start)
            && GREETING.captures(&folded(start)).is_some_and(|found| is_theirs(found[1].trim()))
    };
    [line, sentence].into_iter().find(greets).map_or(reply, |greeting| reply[greeting.len()..].trim_start())
}

pub(super) fn check(reply: &str, facts: &Facts) -> Result<(), Reason> {
    let text = folded(reply);
    if GAPS.is_match(&text) || CAPITAL_GAPS.is_match(reply) {
        return Err(Reason::Placeholder);
    }
    let words = words(&text);
    if SELF.is_match(&text) || runs(&words, ECHO_WORDS).any(|run| SYSTEM_RUNS.contains(&run)) || quotes(&words, facts) {
        return Err(Reason::Echo);
    }
    if repeats(reply, &words) {
        return Err(Reason::Repetition);
    }
    if SIGNED.is_match(&text) || names_somebody(reply, facts) {
        return Err(Reason::Person);
    }
    Ok(())
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

/// Every so many words in a row, as one number each.
fn runs<'w>(words: &'w [&str], length: usize) -> impl Iterator<Item = u64> + 'w {
    words.windows(length).map(|run| HASHER.hash_one(run))
}

fn quotes(words: &[&str], facts: &Facts) -> bool {
    let Some(message) = &facts.customer.message else { return false };
    let message = folded(message);
    let theirs: HashSet<_> = runs(&self::words(&message), QUOTE_WORDS).collect();
    runs(words, QUOTE_WORDS).any(|run| theirs.contains(&run))
}

fn repeats(reply: &str, words: &[&str]) -> bool {
    let mut seen = HashSet::new();
    let twice = runs(words, REPEATED_WORDS).any(|run| !seen.insert(run));
    let mut said = HashSet::new();
    twice
        || words.windows(3).any(|three| three[0] == three[1] && three[1] == three[2])
        || sentences(reply).iter().filter(|sentence| sentence.len() > 12).any(|sentence| !said.insert(folded(sentence)))
}

fn names_somebody(reply: &str, facts: &Facts) -> bool {
    greets_another(reply, facts) || NAMED.is_match(reply)
}

fn greets_another(reply: &str, facts: &Facts) -> bool {
    let first_name = facts.customer.first_name.as_deref().unwrap_or_default();
    GREETED.captures(reply).is_some_and(|found| !first_name.split([' ', '-']).any(|name| name == &found[1]))
}

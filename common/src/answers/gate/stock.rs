//! Which vehicle a reply speaks of, and whether it can be had as the reply says.

use std::sync::LazyLock;

use regex::Regex;

use super::Reason;
use crate::{
    answers::{
        facts::{Facts, VehicleFacts},
        words::{any_of, expression, folded},
    },
    vehicles::VehicleStatus,
};

/// That a car can be had.
static OFFERED: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[
        r"(?:pa|i) lager_",
        r"(?:fortsatt|framleis|fremdeles|enno|stadig|fortfarande|kvar) (?:er )?(?:tilgjengelig|tilgjengeleg|ledig|til salgs|til sals|til salg|till salu|her|inne|hos oss)",
        r"(?:er|ar) (?:den )?(?:fortsatt |framleis |fremdeles |enno |stadig |fortfarande )?(?:tilgjengelig|tilgjengeleg|tilgaengelig|tillganglig|ledig|til salgs|til sals|til salg|till salu|usolgt|usold|uselt|osald)_",
        r"(?:star|stend|har vi|har) (?:den |bilen |ham |han )?(?:klar|her|inne|hos oss|i butikken|i hallen|utstilt)",
        r"vi har (?:den|bilen|han|ho|ham) ",
        r"finns (?:kvar|i lager|fortfarande)",
        r"(?:is|are|it's|still) (?:currently |still )?(?:available|for sale|in stock|here|unsold|on the lot)",
        r"in stock_",
        r"available (?:right )?now",
        r"we (?:still )?have (?:it|the car|this car|one)_",
        r"(?:jest|sa|pozostaje) (?:jeszcze |nadal |wciaz |aktualnie )*(?:dostepn\w+|na sprzedaz|na stanie|w ofercie|aktualn\w+)",
        r"(?:nadal|wciaz|jeszcze) dostepn\w+",
        r"na stanie_",
        r"mamy (?:go|ten samochod|to auto)",
        r"(?:noch |derzeit )?(?:verfugbar|vorratig|auf lager)",
        r"noch (?:da|hier|zu haben|zu kaufen|zum verkauf|bei uns|frei)_",
        r"(?:steht|stehen) (?:\w+ )?(?:zum verkauf|bereit|bei uns|hier)_",
    ])
});

/// That it is gone.
static GONE: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[
        r"(?:er|ble|blei|vart|ar|blev|allerede|dessverre|desverre|diverre|nettopp|na|nyss) (?:na |no |nu |dessverre |diverre |allerede |allereie |nettopp |tyvarr |desvaerre |blitt |vorte )*(?:solgt|seld|selt|sald|salt|sold)_",
        r"(?:is|was|been|already|just|now) (?:already |just |now |unfortunately )*sold_",
        r"(?:ikke|ikkje|inte) (?:lenger|lengre|langre|laengere) (?:\w+ )?(?:tilgjengelig|tilgjengeleg|tillganglig|tilgaengelig|til salgs|til sals|til salg|til salu|ledig|hos oss|pa lager|inne)",
        r"(?:ikke|ikkje|inte) (?:tilgjengelig|tilgjengeleg|tillganglig|tilgaengelig|til salgs|til sals|til salg|ledig|pa lager)",
        r"(?:no longer|not|isn't|not currently) (?:available|for sale|in stock)",
        r"(?:zostal\w*|jest) (?:juz |niestety |niedawno )*(?:sprzedan\w+|zarezerwowan\w+)",
        r"nie(?:stety)? (?:jest )?(?:juz )?dostepn\w+",
        r"utsolgt|udsolgt|sold out|slutsald",
        r"(?:er|is|ar) (?:na |no |nu |dessverre |diverre |currently |allerede |for tiden |for oyeblikket )*(?:reservert|reserved|reserverad|reserveret)_",
        r"verkauft",
        r"nicht mehr (?:\w+ )?(?:verfugbar|da|zu haben|bei uns|auf lager)|nicht (?:verfugbar|auf lager)",
        r"ausverkauft|vergriffen",
        r"(?:ist|sind) (?:\w+ ){0,2}reserviert_",
    ])
});

/// Whose cars people sell.
static MAKES: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[
        "alfa romeo|audi|bmw|byd|citroen|cupra|dacia|fiat|ford|honda|hongqi|hyundai|jaguar|jeep|kia|land rover|lexus",
        "maxus|mazda|mercedes|mini_ cooper|mitsubishi|nio_|nissan|opel|peugeot|polestar|porsche|renault|saab|seat_ leon",
        "skoda|ssangyong|subaru|suzuki|tesla|toyota|volkswagen|vw_|volvo|voyah|xpeng|zeekr",
    ])
});

/// Before a claim: it is asked, not made.
static ASKED: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"_(?:om|whether|if|czy|ob|hvorvidt|sjekke|check|sprawdzi\w*|bekrefte|stadfeste|confirm|potwierdzi\w*|kontrollera|tjekke|nar|hvis|dersom|falls|wenn|prufen|klaren)_[^.!?;]*$",
    )
});
/// Before or within a claim: it is denied.
static DENIED: LazyLock<Regex> = LazyLock::new(|| {
    expression(r"_(?:ikke|ikkje|inte|not|no longer|isn't|nie|niestety|nicht|kein|keine|ingen|aldri)_[^.!?;,]*$")
});
/// The claim is of people, who can be reached, or have time.
static OF_PEOPLE: LazyLock<Regex> = LazyLock::new(|| {
    expression(r"_(?:vi|me|we|jesteśmy|kolleg\w+|telefonen|salgsavdelingen|staff|team|time|tid)_ (?:er|are|is)$")
});

/// Refuses what the status of the vehicles does not bear out.
pub(super) fn check(reply: &str, facts: &Facts) -> Result<(), Reason> {
    let text = folded(reply);
    if MAKES.find_iter(&text).any(|make| !is_given(make.as_str(), facts)) {
        return Err(Reason::Availability);
    }
    let denied = |claim: regex::Match<'_>| DENIED.is_match(&text[..claim.start()]) || GONE.is_match(claim.as_str());
    let asked = |claim: regex::Match<'_>| ASKED.is_match(&text[..claim.start()]);
    for claim in OFFERED.find_iter(&text) {
        let of_people = OF_PEOPLE.is_match(&text[..claim.start() + claim.as_str().find(' ').unwrap_or(0)]);
        if !asked(claim) && !denied(claim) && !of_people && !any(facts, &text, claim.end(), VehicleStatus::Available) {
            return Err(Reason::Availability);
        }
    }
    for claim in GONE.find_iter(&text).filter(|claim| !asked(*claim)) {
        let status = if claim.as_str().contains("reserv") || claim.as_str().contains("rezerw") {
            [VehicleStatus::Reserved; 2]
        } else if is_sale(claim.as_str()) {
            [VehicleStatus::Sold; 2]
        } else {
            [VehicleStatus::Sold, VehicleStatus::Reserved]
        };
        let is_unknown = facts.vehicles.is_empty() && !is_sale(claim.as_str());
        if !is_unknown && !status.into_iter().any(|status| any(facts, &text, claim.end(), status)) {
            return Err(Reason::Availability);
        }
    }
    Ok(())
}

/// Whether a make is one of the stock's, or the customer's own word.
fn is_given(make: &str, facts: &Facts) -> bool {
    let customer = &facts.customer;
    let told = [&customer.message, &customer.vehicle_interest].into_iter().flatten().map(|text| folded(text));
    let given = facts.vehicles.iter().map(|vehicle| folded(&vehicle.name())).chain([folded(&facts.dealership.name)]);
    given.chain(told).any(|text| text.contains(make))
}

fn is_sale(claim: &str) -> bool {
    ["solgt", "seld", "selt", "sald", "sold_", "sprzedan", "verkauft"].iter().any(|word| claim.contains(word))
        || claim.ends_with("sold")
}

/// Whether one of the vehicles that are spoken of here has this status.
fn any(facts: &Facts, text: &str, at: usize, status: VehicleStatus) -> bool {
    spoken_of(facts, text, at).iter().any(|vehicle| vehicle.status == status)
}

/// The vehicles that a folded text speaks of at a place: those it named last, or all.
pub(super) fn spoken_of<'f>(facts: &'f Facts, text: &str, at: usize) -> Vec<&'f VehicleFacts> {
    let mut named: Vec<(usize, usize, &VehicleFacts)> = Vec::new();
    for vehicle in &facts.vehicles {
        named.extend(last_named(vehicle, text, at).map(|(place, words)| (place, words, vehicle)));
    }
    let Some(last) = named.iter().map(|(place, words, _)| (*place, *words)).max() else {
        return facts.vehicles.iter().collect();
    };
    named.into_iter().filter(|(place, words, _)| (*place, *words) == last).map(|(_, _, vehicle)| vehicle).collect()
}

/// Where a vehicle was named last before a place, and with how many words of its model.
fn last_named(vehicle: &VehicleFacts, text: &str, at: usize) -> Option<(usize, usize)> {
    let model = folded(&vehicle.model);
    let words: Vec<_> = model.split_whitespace().collect();
    let fewest = match words.first() {
        Some(first) if words.len() > 1 && (*first == "model" || first.len() < 2) => 2,
        _ => 1,
    };
    (fewest..=words.len())
        .rev()
        .filter_map(|count| {
            Some((*spelled(text, &words[..count].join(" ")).iter().rfind(|(start, _)| *start < at)?, count))
        })
        .map(|((start, _), count)| (start, count))
        .max()
}

/// Where a folded text has this name, whatever stands between its letters and digits: `id 4` is `id.4`.
pub(super) fn spelled(text: &str, name: &str) -> Vec<(usize, usize)> {
    let name: Vec<u8> = name.bytes().filter(u8::is_ascii_alphanumeric).collect();
    let bytes = text.as_bytes();
    let begins = |at: usize| at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
    let Some(first) = name.first() else { return Vec::new() };
    let starts = (0..bytes.len()).filter(|at| bytes[*at] == *first && begins(*at));
    starts.filter_map(|start| Some((start, end_of(bytes, start, &name)?))).collect()
}

fn end_of(text: &[u8], start: usize, name: &[u8]) -> Option<usize> {
    let mut at = start;
    for (index, letter) in name.iter().enumerate() {
        if index > 0 && matches!(text.get(at), Some(b' ' | b'.' | b'-' | b'/')) && text.get(at) != Some(letter) {
            at += 1;
        }
        if text.get(at) != Some(letter) {
            return None;
        }
        at += 1;
    }
    text.get(at).is_none_or(|next| !next.is_ascii_alphanumeric()).then_some(at)
}

//! Sealed secrets open with their key and in their place, and nowhere else.

use common::{
    config::{CliConfig, Settings},
    ids::DealershipId,
    secrets::{KeyId, Keyring, NoKey, OpenError, Place, Sealed, Secret},
};
use proptest::prelude::*;
use uuid::Uuid;

const OLD: &str = "2026-10:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const NEW: &str = "2026-11:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
/// Another key of the same id.
const FALSE_OLD: &str = "2026-10:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";
const COLUMN: &str = "email_accounts.password";

fn place() -> Place {
    let (dealership, row) = (Uuid::from_u128(7 << 64), Uuid::from_u128(8 << 64));
    Place { dealership: DealershipId::from(dealership), column: COLUMN, row }
}

fn keyring(keys: &[&str]) -> Keyring {
    keys.join(",").parse().expect("valid keys")
}

fn id(text: &str) -> KeyId {
    text.parse().expect("a valid id")
}

fn secrets() -> impl Strategy<Value = Secret> {
    ".{0,100}".prop_map(Secret::new)
}

proptest! {
    #[test]
    fn what_is_sealed_opens_with_any_of_the_keys_and_never_looks_the_same(secret in secrets()) {
        let sealed = keyring(&[OLD, NEW]).seal(&secret, &place()).expect("there is a key");
        prop_assert_eq!(keyring(&[NEW, OLD]).open(&sealed, &place()), Ok(secret.clone()));
        prop_assert_ne!(keyring(&[OLD, NEW]).seal(&secret, &place()), Ok(sealed));
    }

    #[test]
    fn it_opens_in_no_other_place(secret in secrets(), other in any::<u128>()) {
        let keyring = keyring(&[OLD]);
        let sealed = keyring.seal(&secret, &place()).expect("there is a key");
        for elsewhere in [
            Place { dealership: Uuid::from_u128(other).into(), ..place() },
            Place { row: Uuid::from_u128(other), ..place() },
            Place { dealership: place().row.into(), row: place().dealership.into(), ..place() },
            Place { column: "sms_accounts.password", ..place() },
            Place { column: "email_accounts.passwor", ..place() },
        ] {
            let refused = keyring.open(&sealed, &elsewhere);
            prop_assert_eq!(&refused, &Err(OpenError::DoesNotOpen(elsewhere.column)));
        }
    }

    #[test]
    fn it_opens_with_no_other_key(secret in secrets()) {
        let sealed = keyring(&[OLD]).seal(&secret, &place()).expect("there is a key");
        let missing = OpenError::MissingKey { key: id("2026-10"), column: COLUMN };
        prop_assert!(missing.to_string().contains("2026-10"));
        prop_assert_eq!(keyring(&[NEW]).open(&sealed, &place()), Err(missing.clone()));
        prop_assert_eq!(Keyring::default().open(&sealed, &place()), Err(missing.clone()));
        prop_assert_eq!(keyring(&[NEW]).reseal(&sealed, &place()), Err(missing));
        prop_assert_eq!(keyring(&[FALSE_OLD]).open(&sealed, &place()), Err(OpenError::DoesNotOpen(COLUMN)));
    }

    #[test]
    fn damage_is_noticed_and_nothing_of_it_is_said(secret in "[A-Z]{12,40}", at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let keyring = keyring(&[OLD, NEW]);
        let sealed = keyring.seal(&Secret::new(secret.clone()), &place()).expect("there is a key");
        let bytes = sealed.as_ref();
        let mut flipped = bytes.to_vec();
        flipped[at.index(bytes.len())] ^= 1_u8 << bit;
        let cut = bytes[..at.index(bytes.len())].to_vec();
        let longer = [bytes, &[0]].concat();
        for damaged in [flipped, cut, longer] {
            let error = keyring.open(&Sealed::from(damaged), &place()).expect_err("it is damaged").to_string();
            prop_assert!(error.contains("does not open") || error.contains("missing in SECRETS_KEYS"), "{}", error);
            prop_assert!(!error.contains(&secret), "{}", error);
        }
    }

    #[test]
    fn resealing_moves_to_the_first_key_once(secret in secrets()) {
        let before = keyring(&[OLD]).seal(&secret, &place()).expect("there is a key");
        let rotated = keyring(&[NEW, OLD]);
        let after = rotated.reseal(&before, &place()).expect("both keys are there").expect("it was sealed with the old one");
        prop_assert_eq!(rotated.reseal(&after, &place()), Ok(None));
        prop_assert_eq!(keyring(&[NEW]).open(&after, &place()), Ok(secret));
        let elsewhere = Place { column: "sms_accounts.password", ..place() };
        prop_assert_eq!(rotated.reseal(&before, &elsewhere), Err(OpenError::DoesNotOpen(elsewhere.column)));
    }
}

#[test]
fn without_a_key_nothing_is_sealed() {
    assert_eq!(Keyring::default().seal(&Secret::new("hunter2"), &place()), Err(NoKey));
}

#[test]
fn keys_that_are_in_use_must_be_there() {
    let in_use = || ["2026-10", "2026-11", "2026-10"].map(id);
    assert_eq!(keyring(&[NEW, OLD]).require(in_use()), Ok(()));
    assert_eq!(Keyring::default().require([]), Ok(()));
    let missing = keyring(&[NEW]).require(in_use()).expect_err("one is not there").to_string();
    assert!(missing.contains(": 2026-10;"), "{missing}");
}

#[test]
fn every_problem_with_the_keys_is_said_without_a_key() {
    let values = [("DATABASE_URL", "postgres://localhost/norvalt")];
    let read = |keys: &'static str| {
        let mut settings = Settings::from_values(values.into_iter().chain([("SECRETS_KEYS", keys)]));
        CliConfig::read(&mut settings).map(|config| config.keyring).map_err(|error| error.to_string())
    };
    let keys = read(concat!(
        "2026-11:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, ",
        "2026-10:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
    ));
    let keys = keys.expect("two keys");
    assert_eq!(keys.ids().collect::<Vec<_>>(), [&id("2026-11"), &id("2026-10")]);
    assert_eq!(format!("{keys:?}"), r#"["2026-11", "2026-10"]"#);

    let problems = read(concat!(
        "hunter2,a b:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=,c:AQEB,",
        "d:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=,d:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=,"
    ));
    let problems = problems.expect_err("all but one are wrong");
    for (number, hint) in [
        (1, "is not of the form id:key"),
        (2, "has an id that must"),
        (3, "has a key that is not"),
        (5, "has the same id"),
        (6, "is not of"),
    ] {
        assert!(problems.contains(&format!("entry {number} {hint}")), "{problems}");
    }
    assert!(!problems.contains("entry 4"), "{problems}");
    for value in ["hunter2", "a b", "AQEB"] {
        assert!(!problems.contains(value), "{problems}");
    }
}

/// By another implementation of AES-256-GCM-SIV. What version 1 means must stay as it is.
#[test]
fn what_version_1_sealed_opens() {
    let ciphertext: [u128; 2] = [0xc72f_1445_8a8f_59ad_ab3b_e35f_b812_4780, 0x3022_ae1e_4b03_62a9_7455_d4eb_967b_cd7e];
    let rest: [u8; 12] = [0x6d, 0x77, 0x0f, 0x4a, 0x7b, 0x80, 0x9a, 0x28, 0xb7, 0x6b, 0x28, 0x8d];
    let ciphertext = ciphertext.into_iter().flat_map(u128::to_be_bytes).chain(rest);
    let sealed: Vec<u8> = b"\x01\x072026-10".iter().copied().chain(0..12).chain(ciphertext).collect();
    assert_eq!(keyring(&[OLD]).open(&Sealed::from(sealed), &place()), Ok(Secret::new("correct horse battery staple")));
}

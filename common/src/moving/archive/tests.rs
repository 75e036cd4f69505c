use std::{env, fs, path::PathBuf};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

type Rows = Vec<Vec<Option<String>>>;

/// A file that goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(env::temp_dir().join(format!("norvalt-archive-{}", Uuid::new_v4())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("it was written");
    }
}

fn write(path: &Path, tables: &[Rows]) -> String {
    let manifest = Manifest {
        format: Manifest::format(),
        schema: 1,
        release: "0.1.0".to_owned(),
        dealership: Uuid::nil().into(),
        organization: "org_1".parse().expect("printable"),
        name: "Bil Nord".to_owned(),
        clerk_instance: None,
        exported_at: DateTime::UNIX_EPOCH,
        secrets: false,
    };
    let mut writer = Writer::new(File::create(path).expect("it is ours"), &manifest).expect("there is room");
    for (number, rows) in tables.iter().enumerate() {
        let head = Head { table: format!("table_{number}"), columns: vec!["a text".to_owned()] };
        writer.begin(head).expect("there is room");
        for row in rows {
            writer.row(&serde_json::to_string(row).expect("texts")).expect("there is room");
        }
        writer.end_table().expect("there is room");
    }
    writer.end().expect("there is room").1
}

fn read(path: &Path) -> Result<Vec<Rows>, ArchiveError> {
    let mut reader = Reader::open(path)?;
    let mut tables: Vec<Rows> = Vec::new();
    loop {
        match reader.next()? {
            Event::Begin(_) => tables.push(Vec::new()),
            Event::Row(row) => tables.last_mut().expect("a row is of a table").push(row),
            Event::EndOfTable => {}
            Event::End(_) => return Ok(tables),
        }
    }
}

fn rows() -> impl Strategy<Value = Rows> {
    let value = proptest::option::of(any::<String>());
    proptest::collection::vec(proptest::collection::vec(value, 1..4), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_read_and_nothing_else_passes(
        tables in proptest::collection::vec(rows(), 1..4),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let file = Scratch::new();
        let archive = write(&file.0, &tables);
        prop_assert_eq!(&check(&file.0).expect("it is whole").archive, &archive);
        prop_assert_eq!(&read(&file.0).expect("it is whole"), &tables);

        let whole = fs::read(&file.0).expect("it is ours");
        let mut damaged = whole.clone();
        // Before the data stands when it was made and on what system, which means nothing.
        let place = 10 + place.index(whole.len() - 10);
        damaged[place] ^= 1 << bit;
        fs::write(&file.0, &damaged).expect("it is ours");
        // A few bits mean nothing where it is compressed.
        if let Ok(summary) = check(&file.0) {
            prop_assert_eq!(summary.archive, archive, "byte {} of {}", place, whole.len());
            prop_assert_eq!(&read(&file.0).expect("it is whole"), &tables);
        }
        fs::write(&file.0, &whole[..cut.index(whole.len())]).expect("it is ours");
        prop_assert!(check(&file.0).is_err());
    }
}

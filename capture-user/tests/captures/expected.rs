//! What tshark says of the captures.

use std::{collections::BTreeMap, fs, path::Path};

/// By name of the quantity.
pub type Counts = BTreeMap<String, u64>;

/// A row of `expected.tsv`.
pub struct Row {
    /// Name of the file.
    pub file: String,
    columns: BTreeMap<String, String>,
}

/// The rows of the table.
pub fn read(path: &Path) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let row = |line: &str| {
        let values: Vec<&str> = line.split('\t').collect();
        assert_eq!(values.len(), names.len(), "{line}");
        let columns = names.iter().zip(&values);
        Row {
            file: values[0].to_owned(),
            columns: columns.map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    };
    lines.map(row).collect()
}

impl Row {
    /// The number in a column.
    pub fn number(&self, column: &str) -> u64 {
        self.columns[column].parse().unwrap()
    }

    /// The counts of these columns, and of each ICMP error: `icmp_err 3/1`.
    pub fn counts(&self, columns: &[&str]) -> Counts {
        let numbers = columns.iter().map(|column| ((*column).to_owned(), self.number(column)));
        numbers.chain(self.errors("icmp_err")).chain(self.errors("icmpv6_err")).collect()
    }

    /// As `3/1=1,4/0=2`: type, code and count.
    fn errors(&self, column: &'static str) -> impl Iterator<Item = (String, u64)> {
        self.columns[column].split(',').filter(|error| !error.is_empty()).map(move |error| {
            let (error, count) = error.split_once('=').unwrap();
            (format!("{column} {error}"), count.parse().unwrap())
        })
    }
}

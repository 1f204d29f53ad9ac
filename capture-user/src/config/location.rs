//! Finds where in a file a key is, and which key is at a place.

use std::{fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One step from the top of a file towards a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a table.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The way to a value, such as `interface[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    pub(super) fn to(mut self, step: impl Into<Step>) -> Self {
        self.0.push(step.into());
        self
    }

    /// Where the value is in the file, or else the last table on the way that is there. `None` if
    /// the text is not TOML, or has nothing of it.
    pub(super) fn locate(&self, text: &str) -> Option<Range<usize>> {
        let document = DeTable::parse(text).ok()?;
        let mut table = Some(document.get_ref());
        let mut value: Option<&Spanned<DeValue<'_>>> = None;
        for step in &self.0 {
            let next = match (step, table, value.map(Spanned::get_ref)) {
                (Step::Key(key), Some(table), _) => {
                    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
                }
                (Step::Index(index), _, Some(DeValue::Array(list))) => list.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            table = match next.get_ref() {
                DeValue::Table(table) => Some(table),
                _ => None,
            };
            value = Some(next);
        }
        value.map(Spanned::span)
    }

    /// The innermost key or value around an offset.
    pub(super) fn at(text: &str, offset: usize) -> Self {
        fn in_table(table: &DeTable<'_>, offset: usize, way: &KeyPath, best: &mut KeyPath) {
            for (name, value) in table {
                let way = way.clone().to(name.get_ref().as_ref());
                if name.span().contains(&offset) {
                    *best = way.clone();
                }
                in_value(value, offset, &way, best);
            }
        }

        fn in_value(
            value: &Spanned<DeValue<'_>>,
            offset: usize,
            way: &KeyPath,
            best: &mut KeyPath,
        ) {
            if value.span().contains(&offset) && way.0.len() > best.0.len() {
                *best = way.clone();
            }
            // The span of a table is that of its header only, so all are searched.
            match value.get_ref() {
                DeValue::Table(table) => in_table(table, offset, way, best),
                DeValue::Array(list) => {
                    for (index, value) in list.iter().enumerate() {
                        in_value(value, offset, &way.clone().to(index), best);
                    }
                }
                _ => {}
            }
        }

        let mut best = Self::default();
        if let Ok(document) = DeTable::parse(text) {
            in_table(document.get_ref(), offset, &Self::default(), &mut best);
        }
        best
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if number == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Number of the line at an offset, from 1.
pub(super) fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[segments]\nsnap_length = 9\n[[interface]]\nname = 'a'\n\
                        [[interface]]\nname = 'b'\nfilter = [\n  { port = 1 },\n  { port = 2 },\n]\n";

    fn path(steps: &[Step]) -> KeyPath {
        KeyPath(steps.to_vec())
    }

    #[test]
    fn places_and_keys_find_each_other() {
        for (steps, text, expected_line) in [
            (vec!["segments".into(), "snap_length".into()], "segments.snap_length", 2),
            (vec!["interface".into(), 0.into(), "name".into()], "interface[0].name", 4),
            (
                vec!["interface".into(), 1.into(), "filter".into(), 1.into(), "port".into()],
                "interface[1].filter[1].port",
                9,
            ),
        ] {
            let path = path(&steps);
            assert_eq!(path.to_string(), text);
            let span = path.locate(TEXT).unwrap();
            assert_eq!(line(TEXT, span.start), expected_line, "{text}");
            assert_eq!(KeyPath::at(TEXT, span.start), path);
        }
    }

    #[test]
    fn what_is_missing_is_at_its_table() {
        let missing = path(&["interface".into(), 1.into(), "mode".into()]);
        let span = missing.locate(TEXT).unwrap();
        assert_eq!(line(TEXT, span.start), 5);
        assert_eq!(path(&["tap".into(), "ring_size".into()]).locate(TEXT), None);
    }

    #[test]
    fn a_key_is_found_by_its_name_too() {
        let offset = TEXT.find("snap").unwrap();
        assert_eq!(KeyPath::at(TEXT, offset).to_string(), "segments.snap_length");
    }
}

//! Prints the default configuration with the documentation of its fields.

use std::fmt::Write as _;

use capture_common::abi::Mode;
use serde::Serialize;

use super::sections::{Config, Control, Flows, Http, Interface, Mirror, Segments, Tap};

/// A struct whose doc comments can be printed.
pub(super) trait Documented {
    /// Name in the file and documentation of each field.
    const FIELDS: &'static [(&'static str, &'static [&'static str])];
}

/// Defines a struct that is read from and written to TOML, and keeps the doc comments of its
/// fields for [`default_text`]. Fields that the file leaves out have their defaults, unknown ones
/// are refused.
macro_rules! section {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $(#[serde($($serde:tt)*)])?
                pub $field:ident: $type:ty,
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                $(#[serde($($serde)*)])?
                pub $field: $type,
            )+
        }

        impl crate::config::document::Documented for $name {
            const FIELDS: &'static [(&'static str, &'static [&'static str])] =
                &[$((stringify!($field), &[$($doc),+])),+];
        }
    };
}
pub(super) use section;

/// The default configuration as a documented TOML file. The interfaces, of which there are none
/// by default, are shown as a comment.
#[must_use]
pub fn default_text() -> String {
    let config = Config::default();
    let mut text = String::from(
        "# Configuration of captured. Every value below is the default; `captured check --config \
         FILE`\n# tells whether a file is understood. Sizes: bytes, or with a unit (KiB, MiB, GiB; \
         kB, MB, GB);\n# times: with a unit (s, m, h).\n",
    );
    for (name, about) in Config::FIELDS {
        text.push('\n');
        comment(&mut text, about);
        match *name {
            "segments" => print_section::<Segments>(&mut text, "[segments]", &config.segments),
            "http" => print_section::<Http>(&mut text, "[http]", &config.http),
            "control" => print_section::<Control>(&mut text, "[control]", &config.control),
            "flows" => print_section::<Flows>(&mut text, "[flows]", &config.flows),
            "tap" => print_section::<Tap>(&mut text, "[tap]", &config.tap),
            "mirror" => print_section::<Mirror>(&mut text, "[mirror]", &config.mirror),
            _ => example(&mut text),
        }
    }
    text
}

/// An interface with a filter, each line commented out by `#` without a blank, other than the
/// documentation.
fn example(text: &mut String) {
    let mut lines = String::new();
    print_section::<Interface>(&mut lines, "[[interface]]", &example_interface());
    for line in lines.lines() {
        let mark = if line.starts_with('#') { "" } else { "#" };
        let _ = writeln!(text, "{mark}{line}");
    }
}

fn example_interface() -> Interface {
    Interface {
        name: "eth1".into(),
        mode: Mode::Tap,
        filter: "tcp port 80 and net 198.51.100.0/24".parse().unwrap_or_default(),
        ..Interface::default()
    }
}

fn print_section<T: Documented + Serialize>(text: &mut String, header: &str, value: &T) {
    let _ = writeln!(text, "{header}");
    // All fields have a TOML form; if one had not, the tests below would miss its key.
    let table = toml::Table::try_from(value).unwrap_or_default();
    for (name, about) in T::FIELDS {
        comment(text, about);
        if let Some(value) = table.get(*name) {
            let _ = writeln!(text, "{name} = {value}");
        }
    }
}

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "#{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_defaults_are_the_defaults() {
        let parsed: Config = toml::from_str(&default_text()).unwrap();
        assert_eq!(parsed, Config::default());
    }

    #[test]
    fn every_key_is_printed_with_its_documentation() {
        let text = default_text();
        let table = toml::Table::try_from(Config::default()).unwrap();
        let sections = table.iter().filter_map(|(name, value)| Some((name, value.as_table()?)));
        let mut keys = 0;
        for (section, fields) in sections {
            let (_, body) = text.split_once(&format!("\n[{section}]\n")).unwrap();
            let body = body.split("\n\n").next().unwrap();
            for (key, value) in fields {
                assert!(body.contains(&format!("\n{key} = {value}")), "{section}.{key}\n{body}");
                keys += 1;
            }
        }
        assert!(keys >= 12, "{keys}");
    }

    #[test]
    fn the_commented_example_is_valid_when_uncommented() {
        let text: Vec<String> = default_text()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        let parsed: Config = toml::from_str(&text.join("\n")).unwrap();
        assert_eq!(parsed.interfaces, [example_interface()]);
        let table = toml::Table::try_from(example_interface()).unwrap();
        for key in table.keys() {
            assert!(text.iter().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
        }
    }
}

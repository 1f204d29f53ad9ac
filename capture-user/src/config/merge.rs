//! Merges the command line into the configuration.

use std::{path::Path, time::Duration};

use super::{
    error::ConfigError,
    sections::{Config, Interface},
};
use crate::cli::{GivenError, GivenFilter, InterfaceArg, RunArgs};

/// The file that is read when neither an interface nor a file is given.
pub const DEFAULT_PATH: &str = "/etc/captured.toml";

/// Which option sets which key, for messages.
const OPTIONS: [(&str, &str); 7] = [
    ("segments.directory", "-w"),
    ("segments.rotate_size", "-C"),
    ("segments.rotate_after", "-G"),
    ("segments.retain_count", "-W"),
    ("segments.snap_length", "-s"),
    ("control.socket", "--control"),
    ("interface", "-i"),
];

impl Config {
    /// What `captured run` shall do: the file, overridden by the command line.
    ///
    /// # Errors
    /// The file cannot be read or is wrong; a value of the command line does not go with it; there
    /// is no interface.
    pub fn from_run_args(args: &RunArgs) -> Result<Self, ConfigError> {
        Self::from_run_args_or(args, Path::new(DEFAULT_PATH))
    }

    /// As [`Config::from_run_args`], with another default file.
    fn from_run_args_or(args: &RunArgs, default: &Path) -> Result<Self, ConfigError> {
        let mut config = match &args.config {
            Some(file) => Self::load(file)?,
            None if args.interfaces.is_empty() && default.exists() => Self::load(default)?,
            None => Self::default(),
        };
        config.override_with(args);
        config.filter_with(&args.filter)?;
        if config.interfaces.is_empty() {
            return Err(ConfigError::NoInterface { default: DEFAULT_PATH });
        }
        // The file alone was valid, so the command line is what made it invalid.
        config.validate().map_err(|problem| {
            let key = problem.path.to_string();
            let option = OPTIONS.iter().find(|(prefix, _)| key.starts_with(prefix));
            let option = option.map_or(key.clone(), |(_, option)| format!("{option} ({key})"));
            ConfigError::CommandLine { option, message: problem.message }
        })?;
        Ok(config)
    }

    fn override_with(&mut self, args: &RunArgs) {
        let segments = &mut self.segments;
        if let Some(directory) = &args.directory {
            segments.directory.clone_from(directory);
        }
        let rotate_after = args.rotate_after.map(Duration::from_secs);
        set(&mut segments.format, args.format);
        set(&mut segments.rotate_size, args.rotate_size);
        set(&mut segments.rotate_after, rotate_after);
        set(&mut segments.retain_count, args.retain_count);
        set(&mut segments.snap_length, args.snap_length);
        set(&mut self.http.listen, args.listen);
        set(&mut self.control.socket, args.control.clone());
        if !args.interfaces.is_empty() {
            self.interfaces =
                args.interfaces.iter().map(|wanted| self.interface_from(wanted)).collect();
        }
        for interface in &mut self.interfaces {
            interface.force |= args.force;
            interface.capture &= !args.count_only;
        }
    }

    /// The command line's expression and trouble are those of all interfaces.
    fn filter_with(&mut self, given: &GivenFilter) -> Result<(), GivenError> {
        let expression = given.expression()?;
        for interface in &mut self.interfaces {
            set(&mut interface.filter, expression.clone());
            set(&mut interface.trouble, given.trouble);
        }
        Ok(())
    }

    /// The interface of the file with this name, or a new one.
    fn interface_from(&self, wanted: &InterfaceArg) -> Interface {
        let configured = self.interfaces.iter().find(|interface| interface.name == wanted.name);
        let mut interface = configured
            .cloned()
            .unwrap_or_else(|| Interface { name: wanted.name.clone(), ..Interface::default() });
        set(&mut interface.mode, wanted.mode);
        interface
    }
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

impl Interface {
    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let mode = match self.mode {
            capture_common::abi::Mode::Tap => "tap",
            capture_common::abi::Mode::Mirror => "mirror",
        };
        let filter = self.filter();
        let what = match (self.capture, filter.is_everything()) {
            (false, _) => "counts only".to_owned(),
            (true, true) => "captures everything".to_owned(),
            (true, false) => format!("captures {filter}"),
        };
        format!("{}: {mode}, {what}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use capture_common::abi::Mode;

    fn merged(args: &str, file: Option<&str>) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.toml");
        let mut words: Vec<String> =
            "captured run".split(' ').chain(args.split_whitespace()).map(String::from).collect();
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
            words.extend(["--config".into(), path.display().to_string()]);
        }
        let Command::Run(args) = Cli::try_parse_from(words).unwrap().command else { panic!() };
        Config::from_run_args_or(&args, &directory.path().join("default.toml"))
    }

    const FILE: &str = "[segments]\nsnap_length = 100\nretain_count = 4\n\
        [[interface]]\nname = 'a'\nfilter = 'port 53'\n[[interface]]\nname = 'b'\n";

    #[test]
    fn the_command_line_overrides_the_file() {
        let config =
            merged("-W 9 -w /d -C 1 -G 5 --listen 127.0.0.1:1 --format pcap", Some(FILE)).unwrap();
        assert_eq!((config.segments.snap_length, config.segments.retain_count), (100, 9));
        assert_eq!(config.segments.directory, Path::new("/d"));
        assert_eq!(config.segments.rotate_after, Duration::from_secs(5));
        assert_eq!(config.interfaces.len(), 2);
        assert!(config.interfaces.iter().all(|i| i.capture && !i.force));
    }

    #[test]
    fn given_interfaces_replace_those_of_the_file_but_keep_their_settings() {
        let config = merged("-i a:mirror -i c --force --count-only", Some(FILE)).unwrap();
        let [a, c] = config.interfaces.as_slice() else { panic!("{config:?}") };
        assert_eq!((a.name.as_str(), a.mode, a.filter.as_str()), ("a", Mode::Mirror, "port 53"));
        assert_eq!((c.name.as_str(), c.mode, c.filter.as_str()), ("c", Mode::Tap, ""));
        assert!(a.force && c.force && !a.capture && !c.capture);
    }

    #[test]
    fn the_expression_given_is_that_of_all_interfaces() {
        let config =
            merged("-s 68 tcp port 80 --trouble reset and host 192.0.2.1", Some(FILE)).unwrap();
        for interface in &config.interfaces {
            assert_eq!(interface.filter.as_str(), "tcp port 80 and host 192.0.2.1");
            assert_eq!(interface.trouble.to_string(), "reset");
        }
        let config = merged("--trouble any", Some(FILE)).unwrap();
        assert_eq!(config.interfaces[0].filter().to_string(), "port 53 [trouble: any]");
        let error = merged("-i a tcp porrt 80", None).unwrap_err();
        assert!(matches!(error, ConfigError::Expression(_)), "{error}");
        assert!(error.to_string().contains("tcp porrt 80"), "{error}");
    }

    #[test]
    fn an_interface_is_needed() {
        for file in [None, Some("")] {
            let error = merged("-s 100", file).unwrap_err();
            assert!(matches!(error, ConfigError::NoInterface { .. }), "{error}");
        }
    }

    #[test]
    fn the_default_file_is_read_only_when_nothing_else_is_given() {
        let directory = tempfile::tempdir().unwrap();
        let default = directory.path().join("captured.toml");
        std::fs::write(&default, FILE).unwrap();
        let mut args = RunArgs::default();
        let config = Config::from_run_args_or(&args, &default).unwrap();
        assert_eq!(config.segments.snap_length, 100);
        args.interfaces = vec!["a".parse().unwrap()];
        let config = Config::from_run_args_or(&args, &default).unwrap();
        assert_eq!(config.segments.snap_length, 262_144);
    }

    #[test]
    fn errors_of_the_command_line_name_the_option() {
        let error = merged("-i a -i a", None).unwrap_err().to_string();
        assert!(
            error.starts_with("command line: -i (interface[1].name): `a` is already"),
            "{error}"
        );
        let error = merged("-i a -C 20g", None).unwrap_err().to_string();
        assert!(error.contains("segments.retain_size"), "{error}");
    }
}

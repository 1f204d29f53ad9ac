//! Reads a configuration from a file.

use std::path::Path;

use super::{
    error::ConfigError,
    location::{KeyPath, line},
    sections::Config,
};

impl Config {
    /// Reads and checks a file. Interfaces are not required in it: they can be given on the
    /// command line.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or has a key or value that is not allowed.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        Self::parse(file, &text)
    }

    /// As [`Config::load`], with the text of the file.
    ///
    /// # Errors
    /// As there.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| describe(file, text, &error))?;
        config.validate().map_err(|problem| {
            let start = problem.path.locate(text).map_or(0, |span| span.start);
            ConfigError::Key {
                file: file.to_owned(),
                line: line(text, start),
                key: problem.path.to_string(),
                message: problem.message,
            }
        })?;
        Ok(config)
    }
}

fn describe(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let file = file.to_owned();
    let start = error.span().map_or(0, |span| span.start);
    let line = line(text, start);
    let message = error.message().replace('\n', ", ");
    // Only a text that is TOML has keys.
    match KeyPath::at(text, start).to_string() {
        key if key.is_empty() => ConfigError::Syntax { file, line, message },
        key => ConfigError::Key { file, line, key, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = Config::parse(Path::new("captured.toml"), text).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn a_full_file_is_read() {
        let text = r#"
            [segments]
            directory = "/srv/segments"
            format = "pcap"
            rotate_size = "64MiB"
            rotate_after = "1m 30s"
            retain_size = 1000000000
            retain_count = 7
            snap_length = 128
            [http]
            listen = "[::1]:80"
            [control]
            socket = "/run/c.sock"
            [flows]
            max = 1024
            [tap]
            ring_size = "1MiB"
            [mirror]
            frames_per_queue = 4096
            unmatched = "drop"
            [[interface]]
            name = "eth1"
            [[interface]]
            name = "eth2"
            mode = "mirror"
            capture = false
            force = true
            filter = "tcp port 80 or icmp"
            trouble = "reset,icmp-error"
        "#;
        let config = Config::parse(Path::new("x"), text).unwrap();
        assert_eq!(config.segments.rotate_after, std::time::Duration::from_secs(90));
        assert_eq!(config.interfaces.len(), 2);
        let filter = config.interfaces[1].filter().to_string();
        assert_eq!(filter, "tcp port 80 or icmp [trouble: reset,icmp-error]");
        // What is written back is the same.
        let again = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(Path::new("x"), &again).unwrap(), config);
    }

    #[test]
    fn errors_name_file_line_key_and_what_is_allowed() {
        for (text, expected) in [
            (
                "[segments]\nsnap = 5\n",
                "captured.toml:2: segments.snap: unknown field `snap`, expected one of `directory`, ",
            ),
            (
                "\n[segmants]\n",
                "captured.toml:2: segmants: unknown field `segmants`, expected one of `segments`, ",
            ),
            (
                "[segments]\nformat = 'pcapngg'\n",
                "captured.toml:2: segments.format: unknown variant `pcapngg`, expected `pcapng` or `pcap`",
            ),
            (
                "[segments]\nrotate_size = 'big'\n",
                "captured.toml:2: segments.rotate_size: `big` is not a size: ",
            ),
            (
                "[segments]\nrotate_after = 5\n",
                "captured.toml:2: segments.rotate_after: invalid type: integer `5`, expected a string",
            ),
            (
                "[segments]\nrotate_after = '5 parsecs'\n",
                "captured.toml:2: segments.rotate_after: `5 parsecs` is not a time: ",
            ),
            (
                "[segments]\nretain_count = -1\n",
                "captured.toml:2: segments.retain_count: invalid value: integer `-1`, expected u64",
            ),
            (
                "[http]\nlisten = 'localhost'\n",
                "captured.toml:2: http.listen: `localhost` is not ADDRESS:PORT",
            ),
            (
                "[[interface]]\nname = 'a'\n\n[[interface]]\nname = 'b'\nmode = 'span'\n",
                "captured.toml:6: interface[1].mode: `span` is not a mode: allowed are tap and mirror",
            ),
            (
                "[[interface]]\nname = 'a'\n\nfilter = 'tcp porrt 80'\n",
                "captured.toml:4: interface[0].filter: ",
            ),
            (
                "[[interface]]\nname = 'a'\nfilter = [{ port = 1 }]\n",
                "captured.toml:3: interface[0].filter: invalid type: sequence, expected a string",
            ),
            (
                "[[interface]]\nname = 'a'\ntrouble = 'reset,rst'\n",
                "captured.toml:3: interface[0].trouble: `rst` is no trouble: allowed are ",
            ),
            ("[segments]\n= 5\n", "captured.toml:2: not valid TOML: "),
            ("[http]\nlisten = 'x\n", "captured.toml:2: not valid TOML: "),
        ] {
            let error = refused(text);
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
    }

    #[test]
    fn semantic_errors_have_a_place_too() {
        for (text, expected) in [
            (
                "[segments]\nsnap_length = 262145\n",
                "captured.toml:2: segments.snap_length: 262145 is out of range: allowed are 1 to 262144",
            ),
            (
                "[[interface]]\nname = 'a'\n[[interface]]\nname = 'a'\n",
                "captured.toml:4: interface[1].name: `a` is already the name of interface[0]",
            ),
            ("[[interface]]\nmode = 'tap'\n", "captured.toml:1: interface[0].name: "),
            (
                "[tap]\n\nring_size = '3MiB'\n",
                "captured.toml:3: tap.ring_size: 3MiB is not a power of two",
            ),
            (
                "[control]\n\nsocket = ''\n",
                "captured.toml:3: control.socket: is empty: give the path of a Unix socket",
            ),
        ] {
            let error = refused(text);
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Path::new("/nonexistent/captured.toml")).unwrap_err();
        assert!(
            error.to_string().starts_with("/nonexistent/captured.toml: cannot be read: No such")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_configuration_or_an_error(text: String) {
            if let Err(error) = Config::parse(Path::new("x"), &text) {
                proptest::prop_assert!(error.to_string().starts_with("x:"));
            }
        }
    }
}

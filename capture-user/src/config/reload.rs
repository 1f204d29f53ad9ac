//! What a running daemon can take over from a changed configuration.

use std::collections::BTreeMap;

use super::sections::{Config, Interface};

/// The outcome of comparing a new configuration with the one in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Reload {
    /// What shall be in force now: the old configuration with the changes that can be made.
    pub config: Config,
    /// Keys that changed and are taken over, such as `segments.rotate_size` or
    /// `interface[eth0].filter`.
    pub applied: Vec<String>,
    /// Keys that changed but need a restart.
    pub restart: Vec<String>,
}

impl Reload {
    /// An interface could not be changed: this is in force instead.
    pub fn give_up(&mut self, in_force: &Interface) {
        let interfaces = &mut self.config.interfaces;
        if let Some(interface) = interfaces.iter_mut().find(|i| i.name == in_force.name) {
            interface.clone_from(in_force);
        }
        let prefix = format!("interface[{}].", in_force.name);
        self.applied.retain(|key| !key.starts_with(&prefix));
    }
}

impl Config {
    /// Compares a new configuration with the one in force: rotation, retention,
    /// filters and capture on or off can be taken over, everything else needs a restart.
    #[must_use]
    pub fn reloadable_changes(old: &Self, new: &Self) -> Reload {
        let mut config = old.clone();
        config.take_over(new);
        let (before, wanted, reached) = (old.flat(), new.flat(), config.flat());
        let keys: std::collections::BTreeSet<&String> =
            before.keys().chain(wanted.keys()).collect();
        let (mut applied, mut restart) = (Vec::new(), Vec::new());
        for key in keys {
            if before.get(key) == wanted.get(key) {
                continue;
            }
            let done = reached.get(key) == wanted.get(key);
            let both = before.contains_key(key) && wanted.contains_key(key);
            // An interface that is new or gone is named once, not by each of its keys.
            let key: &str =
                if both { key } else { key.rsplit_once('.').map_or(&**key, |(name, _)| name) };
            if done { &mut applied } else { &mut restart }.push(key.to_owned());
        }
        restart.dedup();
        Reload { config, applied, restart }
    }

    fn take_over(&mut self, new: &Self) {
        let (to, from) = (&mut self.segments, &new.segments);
        to.rotate_size = from.rotate_size;
        to.rotate_after = from.rotate_after;
        to.retain_size = from.retain_size;
        to.retain_count = from.retain_count;
        for interface in &mut self.interfaces {
            if let Some(from) = new.interfaces.iter().find(|i| i.name == interface.name) {
                interface.filter.clone_from(&from.filter);
                interface.trouble = from.trouble;
                interface.capture = from.capture;
            }
        }
    }

    /// All values by the path of their key. Goes over what is written to TOML, so that a key that
    /// is added to a section is never forgotten here.
    fn flat(&self) -> BTreeMap<String, toml::Value> {
        let mut flat = BTreeMap::new();
        let mut put = |name: &str, table: toml::Table| {
            for (key, value) in table {
                flat.insert(format!("{name}.{key}"), value);
            }
        };
        for (section, value) in toml::Table::try_from(self).unwrap_or_default() {
            match value {
                toml::Value::Table(table) => put(&section, table),
                toml::Value::Array(list) => {
                    for (interface, value) in self.interfaces.iter().zip(list) {
                        let name = format!("{section}[{}]", interface.name);
                        put(&name, value.try_into().unwrap_or_default());
                    }
                }
                _ => {}
            }
        }
        flat
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(Path::new("x"), text).unwrap()
    }

    #[test]
    fn nothing_changed_is_nothing_to_do() {
        let config = config("[[interface]]\nname = 'a'\n");
        let reload = Config::reloadable_changes(&config, &config);
        assert_eq!(reload, Reload { config, applied: vec![], restart: vec![] });
    }

    #[test]
    fn what_can_be_taken_over_is() {
        let old = config("[[interface]]\nname = 'a'\n[[interface]]\nname = 'b'\n");
        let new = config(
            "[segments]\nrotate_size = '1MiB'\nrotate_after = '1m'\nretain_size = '1GiB'\n\
             retain_count = 5\n\
             [[interface]]\nname = 'b'\ncapture = false\n\
             [[interface]]\nname = 'a'\nfilter = 'port 53'\n",
        );
        let reload = Config::reloadable_changes(&old, &new);
        assert_eq!(reload.restart, Vec::<String>::new());
        assert_eq!(
            reload.applied,
            [
                "interface[a].filter",
                "interface[b].capture",
                "segments.retain_count",
                "segments.retain_size",
                "segments.rotate_after",
                "segments.rotate_size",
            ]
        );
        assert_eq!(reload.config.segments, new.segments);
        // Interfaces keep their order: it is that of their slots.
        assert_eq!(reload.config.interfaces[0], new.interfaces[1]);
        assert_eq!(reload.config.interfaces[1], new.interfaces[0]);
    }

    #[test]
    fn what_fails_is_not_applied() {
        let old = config("[[interface]]\nname = 'a'\n[[interface]]\nname = 'b'\n");
        let new = config(
            "[[interface]]\nname = 'a'\nfilter = 'icmp'\n[[interface]]\nname = 'b'\ntrouble = 'any'\n",
        );
        let mut reload = Config::reloadable_changes(&old, &new);
        assert_eq!(reload.applied, ["interface[a].filter", "interface[b].trouble"]);
        reload.give_up(&old.interfaces[0]);
        assert_eq!(reload.applied, ["interface[b].trouble"]);
        assert_eq!(reload.config.interfaces[0], old.interfaces[0]);
        assert_eq!(reload.config.interfaces[1], new.interfaces[1]);
    }

    #[test]
    fn the_rest_needs_a_restart() {
        let old = config("[[interface]]\nname = 'a'\n[[interface]]\nname = 'b'\n");
        let new = config(
            "[segments]\ndirectory = '/d'\nformat = 'pcap'\nsnap_length = 68\n[http]\nlisten = '127.0.0.1:1'\n\
             [control]\nsocket = '/s'\n\
             [flows]\nmax = 2048\n[tap]\nring_size = '1MiB'\n\
             [mirror]\nframes_per_queue = 64\nunmatched = 'drop'\n\
             [[interface]]\nname = 'a'\nmode = 'mirror'\n[[interface]]\nname = 'c'\n",
        );
        let reload = Config::reloadable_changes(&old, &new);
        assert_eq!(reload.config, old);
        assert_eq!(reload.applied, Vec::<String>::new());
        assert_eq!(
            reload.restart,
            [
                "control.socket",
                "flows.max",
                "http.listen",
                "interface[a].mode",
                "interface[b]",
                "interface[c]",
                "mirror.frames_per_queue",
                "mirror.unmatched",
                "segments.directory",
                "segments.format",
                "segments.snap_length",
                "tap.ring_size",
            ]
        );
    }
}

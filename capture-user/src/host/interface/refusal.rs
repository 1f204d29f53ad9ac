//! Why mirror mode would cut traffic that the host needs.

use super::{Facts, Prefix};

/// Most addresses or routes that the sentence lists.
const MOST_LISTED: usize = 3;

impl Facts {
    /// Why mirror mode is refused on this interface, as one sentence; `None` if nothing speaks
    /// against it. IPv6 link-local addresses and the kernel's own routes don't: every interface
    /// that is up has them.
    #[must_use]
    pub fn refuse_mirror(&self) -> Option<String> {
        let mut uses = Vec::new();
        if self.loopback {
            uses.push("it is the loopback interface".to_owned());
        }
        if let Some(text) = listed("it has the address", "it has the addresses", &self.addresses) {
            uses.push(text);
        }
        if let Some(text) =
            listed("a route leads through it:", "routes lead through it:", &self.routes)
        {
            uses.push(text);
        }
        if let Some(master) = &self.master {
            uses.push(format!("it is a port of the {} `{}`", master.kind, master.name));
        }
        if !self.uppers.is_empty() {
            uses.push(format!("`{}` is stacked on it", self.uppers.join("`, `")));
        }
        if uses.is_empty() {
            return None;
        }
        Some(format!(
            "mirror mode takes the frames of `{}` away from the host, which uses it ({}): that \
             traffic would be cut; use tap mode, or override with `--force` (`force = true` in the \
             configuration)",
            self.name,
            uses.join("; ")
        ))
    }
}

fn listed(one: &str, several: &str, prefixes: &[Prefix]) -> Option<String> {
    let shown: Vec<String> = prefixes.iter().take(MOST_LISTED).map(ToString::to_string).collect();
    let more = if prefixes.len() > MOST_LISTED { ", …" } else { "" };
    match prefixes.len() {
        0 => None,
        1 => Some(format!("{one} {}", shown[0])),
        _ => Some(format!("{several} {}{more}", shown.join(", "))),
    }
}

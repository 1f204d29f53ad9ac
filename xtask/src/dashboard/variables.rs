//! Grafana's variables, replaced as Grafana does before it sends a query to Prometheus.

use anyhow::{Result, bail};

/// What the user chose, and the time range shown.
#[derive(Clone, Debug)]
pub struct Variables {
    /// `$instance`.
    pub instance: String,
    /// `$interface`: a regular expression; `.*` stands for All.
    pub interface: String,
    /// `$__rate_interval` and `$__interval`, a PromQL duration.
    pub interval: String,
    /// `$__range`, a PromQL duration.
    pub range: String,
}

impl Variables {
    /// Replaces `$name` and `${name}` in a query.
    ///
    /// # Errors
    /// A variable that neither the dashboard nor Grafana has.
    pub fn substitute(&self, query: &str) -> Result<String> {
        let mut done = String::with_capacity(query.len());
        let mut rest = query;
        while let Some(at) = rest.find('$') {
            done.push_str(&rest[..at]);
            let (name, after) = name(&rest[at + 1..])?;
            done.push_str(match name {
                "instance" => &self.instance,
                "interface" => &self.interface,
                "__interval" | "__rate_interval" => &self.interval,
                "__range" => &self.range,
                other => bail!("unknown variable ${other} in {query}"),
            });
            rest = after;
        }
        done.push_str(rest);
        Ok(done)
    }
}

/// The name after a dollar, and what follows it.
fn name(text: &str) -> Result<(&str, &str)> {
    if let Some(inside) = text.strip_prefix('{') {
        let Some(split) = inside.split_once('}') else { bail!("no closing brace: ${text}") };
        return Ok(split);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    if end == 0 {
        bail!("no name after the dollar: ${text}");
    }
    Ok(text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        Variables {
            instance: "gw:9411".into(),
            interface: ".*".into(),
            interval: "1m".into(),
            range: "1h".into(),
        }
    }

    #[test]
    fn replaces_all_variables() {
        let query = "rate(a{i=\"$instance\", j=~\"${interface}\"}[$__rate_interval]) + b[$__range]";
        let expected = "rate(a{i=\"gw:9411\", j=~\".*\"}[1m]) + b[1h]";
        assert_eq!(variables().substitute(query).unwrap(), expected);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for bad in ["up{i=\"$instances\"}", "up{i=\"$\"}", "up{i=\"${instance\"", "rate(a[$__x])"] {
            assert!(variables().substitute(bad).is_err(), "{bad}");
        }
    }
}

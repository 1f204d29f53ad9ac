//! A diagnosis for people.

use std::fmt::{Display, Formatter, Result};

use super::{Diagnosis, Finding, ServiceReport, rules::grouped, times};

/// Of healthy services so many are listed; the others are only counted.
const LISTED_HEALTHY: usize = 10;

impl Display for Diagnosis {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.services.is_empty() {
            return writeln!(
                f,
                "No conversation is known that fits. If one was tried meanwhile, its packets did \
                 not reach a captured interface of this gateway."
            );
        }
        let (healthy, troubled): (Vec<_>, Vec<_>) =
            self.services.iter().partition(|service| service.findings.is_empty());
        for service in &troubled {
            writeln!(f, "{service}")?;
        }
        for service in healthy.iter().take(LISTED_HEALTHY) {
            writeln!(f, "{}", service.sentence)?;
        }
        let more = healthy.len().saturating_sub(LISTED_HEALTHY);
        if more > 0 {
            writeln!(f, "{} more services are healthy.", grouped(more as u64))?;
        }
        Ok(())
    }
}

impl Display for ServiceReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "{} ({}): {}", self.service, self.protocol, self.verdict.id())?;
        if self.findings.is_empty() {
            return writeln!(f, "  {}", self.sentence);
        }
        for (number, finding) in self.findings.iter().enumerate() {
            if number > 0 {
                writeln!(f, "  also: {}", finding.verdict.id())?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "  {}", self.sentence)?;
        let (side, direction) = (self.side.name(), self.direction.name());
        writeln!(f, "  At fault: {side}; packets {direction}. {}:", self.confidence.title())?;
        for line in &self.why {
            writeln!(f, "    - {line}")?;
        }
        writeln!(f, "  Seen:     {} to {}", times::people(self.first), times::people(self.last))?;
        writeln!(f, "  Clients:  {}{}", self.clients.join(", "), self.more_clients())?;
        let counts = self.counts.iter().filter(|(_, number)| **number > 0);
        let counts: Vec<_> = counts
            .map(|(name, number)| format!("{} {}", name.replace('_', " "), grouped(*number)))
            .collect();
        writeln!(f, "  Counts:   {}", counts.join(", "))?;
        for line in &self.next {
            writeln!(f, "  Next:     {line}")?;
        }
        writeln!(f, "  Show:     {}", self.show.captured)?;
        writeln!(f, "            {}", self.show.tshark)
    }
}

impl Finding {
    fn more_clients(&self) -> String {
        match self.flows.saturating_sub(self.clients.len() as u64) {
            0 => String::new(),
            more => format!(", and {} more", grouped(more)),
        }
    }
}

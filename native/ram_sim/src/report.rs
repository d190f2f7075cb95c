//! What a run found out.
//!
//! A run tells its parent process in lines `name value`, so that they are readable as they are.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: String,
    pub detail: String,
    pub at_ns: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Report {
    pub seed: u64,
    /// Over all events: two runs of one seed print the same.
    pub trace: u64,
    pub virtual_ms: u64,
    /// Counts by name: operations, unknown outcomes, elections, `fault ...`.
    pub counts: BTreeMap<String, u64>,
    pub violation: Option<Violation>,
}

impl Report {
    pub fn count(&mut self, name: impl Into<String>, count: u64) {
        *self.counts.entry(name.into()).or_default() += count;
    }

    /// Reads what `Display` wrote; `None` when it is not whole.
    pub fn parse(text: &str) -> Option<Report> {
        let mut report = Report::default();
        let mut is_whole = false;
        for line in text.lines() {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            match name {
                "seed" => report.seed = value.parse().ok()?,
                "trace" => report.trace = u64::from_str_radix(value, 16).ok()?,
                "virtual ms" => report.virtual_ms = value.parse().ok()?,
                "violation" => report.violation = Some(parse_violation(value)?),
                "end" => is_whole = true,
                _ => report.count(name, value.parse().ok()?),
            }
        }
        is_whole.then_some(report)
    }
}

fn parse_violation(text: &str) -> Option<Violation> {
    let (invariant, rest) = text.split_once(" at ")?;
    let (at_ns, detail) = rest.split_once(" ns, ")?;
    let detail = detail.replace("\\n", "\n");
    Some(Violation { invariant: invariant.into(), detail, at_ns: at_ns.parse().ok()? })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed: {}", self.seed)?;
        writeln!(f, "trace: {:016x}", self.trace)?;
        writeln!(f, "virtual ms: {}", self.virtual_ms)?;
        for (name, count) in &self.counts {
            writeln!(f, "{name}: {count}")?;
        }
        if let Some(Violation { invariant, detail, at_ns }) = &self.violation {
            let detail = detail.replace('\n', "\\n");
            writeln!(f, "violation: {invariant} at {at_ns} ns, {detail}")?;
        }
        writeln!(f, "end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_its_printing() {
        let mut report = Report { seed: 7, trace: 0xabc, virtual_ms: 12, ..Report::default() };
        report.count("fault crash", 3);
        let detail = "in term 2: both\nlead".into();
        report.violation = Some(Violation { invariant: "one".into(), detail, at_ns: 5 });
        let read = Report::parse(&report.to_string()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{report:?}"));
        assert!(Report::parse("seed: 7\n").is_none(), "a run that died has no report");
    }
}

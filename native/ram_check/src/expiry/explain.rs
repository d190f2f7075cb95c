//! A violation in words.

use super::{Answer, Fault, Timed, Violation};
use crate::calls::{CallId, Calls};

const MEANWHILE_MAX: usize = 12;

impl Violation {
    /// What cannot be, and the last calls of that key before it, a line for each.
    pub fn explain(&self, calls: &Calls<Timed>) -> String {
        let (what, other) = match self.fault {
            Fault::Early { not_before_ns: Some(at_ns) } => {
                (format!("the key has gone, and had time until {at_ns} at least"), None)
            }
            Fault::Early { not_before_ns: None } => {
                ("the key has gone, and was put for good".to_owned(), None)
            }
            Fault::Back { absent } => {
                ("the key had gone, and is back, as this call had shown".to_owned(), Some(absent))
            }
            Fault::NeverPut => ("nobody has put that".to_owned(), None),
            Fault::Overwritten { by } => ("another put had replaced that".to_owned(), Some(by)),
            Fault::Late { settled, gone_ns } => {
                (format!("the key had to be gone at {gone_ns}, by this lead"), Some(settled))
            }
        };
        let mut text = format!("{what}:\n    {}\n", line(calls, self.call));
        if let Some(other) = other {
            text += &format!("beside:\n    {}\n", line(calls, other));
        }
        text += "what was done to the key before:\n";
        self.before(calls).iter().for_each(|id| text += &format!("    {}\n", line(calls, *id)));
        text
    }

    fn before(&self, calls: &Calls<Timed>) -> Vec<CallId> {
        let Some(call) = calls.get(self.call) else { return Vec::new() };
        let of_key = calls.iter().filter(|(id, other)| {
            *id != self.call
                && !other.has_failed()
                && other.request.key() == call.request.key()
                && other.called_ns <= call.returned.as_ref().map_or(u64::MAX, |(_, at)| *at)
        });
        let mut found: Vec<(u64, CallId)> =
            of_key.map(|(id, other)| (other.called_ns, id)).collect();
        found.sort_unstable();
        let skipped = found.len().saturating_sub(MEANWHILE_MAX);
        found.into_iter().skip(skipped).map(|(_, id)| id).collect()
    }
}

fn line(calls: &Calls<Timed>, id: CallId) -> String {
    let Some(call) = calls.get(id) else { return String::new() };
    let told = match call.done() {
        Some((Answer::Done, _)) => "ok".to_owned(),
        Some((Answer::Touched(true), _)) => "was there".to_owned(),
        Some((Answer::Touched(false) | Answer::Found(None), _)) => "absent".to_owned(),
        Some((Answer::Found(Some(value)), _)) => format!("found {value}"),
        Some((Answer::Term(term), _)) => format!("term {term}"),
        None if call.has_failed() => "failed".to_owned(),
        None => "unknown".to_owned(),
    };
    format!("{} {told}   {}", call.request, call.by())
}

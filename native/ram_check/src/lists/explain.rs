//! An anomaly in words, a line for each transaction.

use std::fmt;

use super::{Anomaly, Link, Order, Step, Transaction};
use crate::calls::{CallId, Calls};

impl Anomaly {
    /// The name of the anomaly, as the literature has it where it has one.
    pub fn name(&self) -> &'static str {
        match self {
            Anomaly::AppendedTwice { .. } => "appended_twice",
            Anomaly::NeverAppended { .. } => "never_appended",
            Anomaly::Aborted { .. } => "aborted_read (G1a)",
            Anomaly::Duplicate { .. } => "duplicate",
            Anomaly::Intermediate { .. } => "intermediate_read (G1b)",
            Anomaly::OwnSteps { .. } => "internal",
            Anomaly::Orders { .. } => "incompatible_orders",
            Anomaly::Lost { .. } => "lost_append",
            Anomaly::Cycle { name, .. } => name,
        }
    }

    pub fn explain(&self, calls: &Calls<Transaction>) -> String {
        let (what, lines) = match self {
            Anomaly::AppendedTwice { key, number, by } => {
                (format!("{number} was appended to {key} before"), vec![*by])
            }
            Anomaly::NeverAppended { key, number, read } => (
                format!("nobody appended {number} to {key}, where the first has read it"),
                vec![*read],
            ),
            Anomaly::Aborted { key, number, read, by } => (
                format!("the first read {number} in {key}, of the second, which did not happen"),
                vec![*read, *by],
            ),
            Anomaly::Duplicate { key, number, read, by } => (
                format!("the first read {number} twice in {key}, the second appended it"),
                vec![*read, *by],
            ),
            Anomaly::Intermediate { key, read, by } => (
                format!("the first read {key} amid the second, before its last append"),
                vec![*read, *by],
            ),
            Anomaly::OwnSteps { key, read } => {
                (format!("its reads of {key} do not fit its other steps"), vec![*read])
            }
            Anomaly::Orders { key, read, other } => (
                format!("of what these read in {key} none is the beginning of the other"),
                vec![*read, *other],
            ),
            Anomaly::Lost { key, number, by, read } => (
                format!("the first appended {number} to {key}, the second was called later and")
                    + " did not read it, nor did any other",
                vec![*by, *read],
            ),
            Anomaly::Cycle { links, .. } => return self.explain_cycle(links, calls),
        };
        let lines = lines.iter().map(|id| format!("    {}\n", line(calls, *id)));
        format!("{}: {what}:\n{}", self.name(), lines.collect::<String>())
    }

    fn explain_cycle(&self, links: &[Link], calls: &Calls<Transaction>) -> String {
        let mut text = format!("{}: each of these comes before the next:\n", self.name());
        for (place, link) in links.iter().enumerate() {
            let next = if place + 1 == links.len() { "the first" } else { "the next" };
            let key = link.key.as_deref().unwrap_or_default();
            let why = match link.order {
                Order::Ww => format!("{next} appended to {key} after it (ww)"),
                Order::Wr => format!("{next} read what it appended to {key} (wr)"),
                Order::Rw => format!("{next} appended to {key} what it did not read (rw)"),
                Order::Rt => format!("{next} was called when it had returned (rt)"),
            };
            text += &format!("    {}\n      {why}\n", line(calls, link.call));
        }
        text
    }
}

fn line(calls: &Calls<Transaction>, id: CallId) -> String {
    let Some(call) = calls.get(id) else { return String::new() };
    let told = match call.done() {
        Some(_) => "",
        None if call.has_failed() => " failed",
        None => " unknown",
    };
    let mut answers = call.done().map(|(answer, _)| answer.iter()).unwrap_or_default();
    let steps = call.request.0.iter().map(|step| match step {
        Step::Append { key, number } => format!("append {number} to {key}"),
        Step::Read { key } => match answers.next() {
            Some(saw) => format!("read {key}: {}", Numbers(saw)),
            None => format!("read {key}"),
        },
    });
    let steps: Vec<String> = steps.collect();
    format!("{}{told}   {}", steps.join("; "), call.by())
}

/// Of a long list the end.
struct Numbers<'a>(&'a [i64]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 12;
        let left_out = self.0.len().saturating_sub(SHOWN_MAX);
        let shown: Vec<String> = self.0.iter().skip(left_out).map(i64::to_string).collect();
        let more = if left_out > 0 { format!("{left_out} more, ") } else { String::new() };
        write!(f, "[{more}{}]", shown.join(", "))
    }
}

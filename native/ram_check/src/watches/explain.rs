//! A violation in words.

use std::sync::Arc;

use super::{Answer, Change, Changing, Event, Fault, Keys, Receiver, Violation};
use crate::calls::{CallId, Calls};

const BEFORE_MAX: usize = 6;

impl Violation {
    /// What cannot be, and what the receiver was sent before it, a line for each.
    pub fn explain(&self, calls: &Calls<Changing>, receivers: &[Receiver]) -> String {
        let mut text = format!("{}\n", self.fault.words(calls));
        let Some((receiver, place)) =
            self.at.and_then(|(number, place)| Some((receivers.get(number)?, place)))
        else {
            return text;
        };
        text += &format!("what {} has asked for and was sent, the last of it:\n", receiver.name);
        let before = receiver.events.iter().take(place + 1).skip(place.saturating_sub(BEFORE_MAX));
        before.for_each(|(at_ns, event)| text += &format!("    {} at {at_ns}\n", show(event)));
        text
    }
}

impl Fault {
    fn words(&self, calls: &Calls<Changing>) -> String {
        let call = |id: &CallId| line(calls, *id);
        match self {
            Fault::Order { after } => format!("that cannot come after revision {after}"),
            Fault::Stale { write, acknowledged } => {
                let write = call(write);
                format!(
                    "it began before revision {acknowledged}, which had been told:\n    {write}"
                )
            }
            Fault::Gap { revision, keys } => {
                format!("revision {revision} was not sent, which changed {}", keys.join(" "))
            }
            Fault::Half { keys } => {
                format!("of this revision it was not sent {}", keys.join(" "))
            }
            Fault::Foreign { key } => format!("the watch is not of {key}"),
            Fault::Copy { key, has } => {
                format!("by what it was sent before {key} holds {}", value(has))
            }
            Fault::Differs { key } => {
                format!("others were told of something else of {key} at this revision")
            }
            Fault::NeverWritten { key } => format!("nobody has written that to {key}"),
            Fault::Twice { write, revision } => {
                format!("a write has revision {revision} as well:\n    {}", call(write))
            }
            Fault::NotWatching => "there is no watch that can have sent that".to_owned(),
            Fault::WrongStart => "it does not go on after what it has".to_owned(),
            Fault::Revisions { write, other } => {
                format!("these revisions cannot be:\n    {}\n    {}", call(write), call(other))
            }
            Fault::Table { found, key, has } => {
                let (has, found) = (value(has), call(found));
                format!("by what it was sent {key} holds {has}, and the table was:\n    {found}")
            }
        }
    }
}

fn value(value: &Option<Arc<str>>) -> &str {
    value.as_deref().unwrap_or("nothing")
}

fn show(event: &Event) -> String {
    match event {
        Event::Asks { keys, from: Some(from) } => format!("asks for {} from {from}", names(keys)),
        Event::Asks { keys, from: None } => format!("asks for all of {}", names(keys)),
        Event::Begins { revision } => format!("begins at {revision}"),
        Event::Compacted => "is told that the history is shorter".to_owned(),
        Event::Changes { revision, changes } => {
            format!("{revision}:{}", changes.iter().map(change).collect::<String>())
        }
        Event::InitialDone { revision } => format!("has what was there at {revision}"),
        Event::Lost { revision } => format!("has lost it at {revision}"),
    }
}

fn names(keys: &Keys) -> String {
    match keys {
        Keys::All => "the table".to_owned(),
        Keys::One(key) => key.to_string(),
        Keys::Prefix(prefix) => format!("{prefix}..."),
        Keys::Range(from, to) => format!("{from} to {to}"),
    }
}

fn change(change: &Change) -> String {
    let old = match &change.old {
        Some(old) => format!(" (was {})", value(old)),
        None => String::new(),
    };
    match &change.new {
        Some(new) => format!(" {}={new}{old}", change.key),
        None => format!(" {} deleted{old}", change.key),
    }
}

fn line(calls: &Calls<Changing>, id: CallId) -> String {
    let Some(call) = calls.get(id) else { return String::new() };
    let told = match call.done() {
        Some((Answer::At(Some(revision)), _)) => format!("revision {revision}"),
        Some((Answer::At(None), _)) => "changed nothing".to_owned(),
        Some((Answer::Found(content), _)) => {
            content.iter().map(|(key, value)| format!("{key}={value} ")).collect()
        }
        None if call.has_failed() => "failed".to_owned(),
        None => "unknown".to_owned(),
    };
    format!("{} {told}   {}", call.request, call.by())
}

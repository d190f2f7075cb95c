//! A violation as one HTML page that needs nothing else: what contradicts what, and a timeline. Of
//! transactions it is in words alone.
//!
//! `ram-check --report` writes it, a person reads it. It judges nothing.

mod axis;
mod timeline;

use std::fmt::Write;

use crate::explain::Violation;
use crate::files::Fault;
use crate::history::{History, OpId, Record, show_state};

const STYLE: &str = "body{font:14px/1.5 sans-serif;margin:24px;color:#222}\
code,td{font-family:monospace;font-size:13px}td,th{padding:2px 14px 2px 0;text-align:left}\
.time{display:flex;border:1px solid #ccc;margin:16px 0}.scroll{overflow-x:auto}\
.key span{display:inline-block;padding:0 8px;margin-right:12px;border:1px solid #999}\
svg{display:block;font:12px monospace}";

/// The page of a violation; faults are drawn as bands behind the operations.
pub fn page(history: &History, faults: &[Fault], violation: &Violation) -> String {
    let key = escape(&violation.key);
    let mut page = format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Violation on {key}</title>\
         <style>{STYLE}</style><h1>Not linearizable: key <code>{key}</code></h1>\
         <p>The first operation below cannot be placed: with its outcome there is no valid order, \
         without it there is. It contradicts the outcomes that follow it; together they have no \
         valid order, and each of them is needed for that.</p>"
    );
    page += &table(history, violation);
    if !violation.is_smallest {
        page += "<p>The budget ended before this was as small as it can be.</p>";
    }
    let (count, state) = (violation.prefix.len(), escape(&show_state(&violation.state)));
    page += &format!(
        "<p>What came before has an order, of {count} operations, that ends at \
         <code>{state}</code>; the tooltip of a bar tells its place (#).</p>{LEGEND}"
    );
    page += &timeline::draw(history, faults, violation);
    // The violation is at the right end.
    page += "<script>let s=document.querySelector('.scroll');s.scrollLeft=s.scrollWidth</script>";
    page
}

/// The page of a violation that is told in words.
pub fn text_page(what: &str, text: &str) -> String {
    let (what, text) = (escape(what), escape(text));
    format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Violation in the {what}</title>\
         <style>{STYLE}</style><h1>Violation in the {what}</h1><pre>{text}</pre>"
    )
}

const LEGEND: &str = "<p class=key><span style='background:#e2483d;color:#fff'>cannot be placed\
</span><span style='background:#f7b955'>contradicts it</span><span style='background:#cfe3f7'>read\
</span><span style='background:#c5e0b4'>change</span><span style='border-style:dashed'>unknown: \
may take effect at any later time</span><span style='background:#f3e3f0'>fault</span></p>";

fn table(history: &History, violation: &Violation) -> String {
    let mut rows = String::new();
    let rest = violation.core.iter().filter(|id| **id != violation.unplaced);
    for id in std::iter::once(&violation.unplaced).chain(rest) {
        let Some(record) = history.get(*id) else { continue };
        let _ = write!(
            rows,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}",
            escape(&record.to_string()),
            escape(&record.client),
            escape(&record.node),
            record.called.at_ns,
            record.returned.as_ref().map(|(_, at)| at.at_ns.to_string()).unwrap_or_default(),
        );
    }
    format!(
        "<table><tr><th>operation<th>client<th>node<th>called, ns<th>returned, ns{rows}</table>"
    )
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// The operations worth drawing: from the first of the core to the one that cannot be placed, and
/// those that set what that one saw.
fn drawn<'a>(history: &'a History, violation: &Violation) -> Vec<(OpId, &'a Record)> {
    const OTHERS_MAX: usize = 200;
    const SOURCES_MAX: usize = 8;
    let call = |id: &OpId| history.get(*id).map(|record| record.called.at_ns);
    let from = violation.core.iter().filter_map(call).min().unwrap_or_default();
    let unplaced = history.get(violation.unplaced).and_then(|record| record.returned.as_ref());
    let to = unplaced.map_or(u64::MAX, |(_, at)| at.at_ns);
    let is_shown = |id: &OpId| {
        violation.core.contains(id) || violation.sources.iter().take(SOURCES_MAX).any(|s| s == id)
    };
    let in_time = |record: &Record| {
        let end = record.bound().map_or(record.called.at_ns, |at| at.at_ns);
        record.op.key == violation.key && record.called.at_ns <= to && end >= from
    };
    let shown = history.records().filter(|(id, record)| is_shown(id) || in_time(record));
    let (core, mut others): (Vec<_>, Vec<_>) = shown.partition(|(id, _)| is_shown(id));
    others.sort_by_key(|(_, record)| std::cmp::Reverse(record.called.at_ns));
    others.truncate(OTHERS_MAX);
    let mut all = [core, others].concat();
    all.sort_by_key(|(_, record)| record.called.at_ns);
    all
}

//! The timeline as SVG: a row for each client with its node, a bar from call to return.
//!
//! The names stand in a picture of their own, so that they stay while the bars are scrolled.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use super::axis::{Axis, Bar};
use super::{drawn, escape};
use crate::explain::Violation;
use crate::files::Fault;
use crate::history::{Action, History, OpId, Outcome, Record, Value, show_state};

const TOP: f64 = 64.0;
const LANE: f64 = 30.0;
const BAR_HEIGHT: f64 = 20.0;
const CHAR_WIDTH: f64 = 7.4;
const NAMES_WIDTH: f64 = 230.0;

/// An operation with its place in the picture.
struct Drawn<'a> {
    id: OpId,
    record: &'a Record,
    label: String,
    /// Where its bar ends; that of an unknown one goes on as a dashed line.
    to_ns: u64,
    y: f64,
}

/// A row of the picture.
struct Row {
    name: String,
    y: f64,
    height: f64,
}

pub fn draw(history: &History, faults: &[Fault], violation: &Violation) -> String {
    let mut ops: Vec<Drawn> =
        drawn(history, violation).into_iter().map(|(id, record)| prepare(id, record)).collect();
    let bars: Vec<Bar> = ops.iter().map(room).collect();
    let axis = Axis::new(&bars);
    let rows = place(&mut ops, &axis);
    let height = rows.last().map_or(TOP, |row| row.y + row.height) + 8.0;
    let width = axis.width() + 60.0;
    let mut svg = String::new();
    bands(&mut svg, faults, &axis, height);
    ticks(&mut svg, &axis, height, width, &rows);
    let places: HashMap<OpId, usize> =
        violation.prefix.iter().enumerate().map(|(place, id)| (*id, place + 1)).collect();
    for op in &ops {
        bar(&mut svg, op, &axis, width, violation, places.get(&op.id));
    }
    format!(
        "<div class=time><svg width='{NAMES_WIDTH}' height='{height}' style='flex:none'>{}</svg>\
         <div class=scroll><svg width='{width:.0}' height='{height}'>{svg}</svg></div></div>",
        names(&rows)
    )
}

fn prepare(id: OpId, record: &Record) -> Drawn<'_> {
    let to_ns = record.returned.as_ref().map_or(record.called.at_ns, |(_, at)| at.at_ns);
    Drawn { id, record, label: label(record), to_ns, y: 0.0 }
}

fn room(op: &Drawn) -> Bar {
    let width_min = op.label.chars().count() as f64 * CHAR_WIDTH + 10.0;
    Bar { from_ns: op.record.called.at_ns, to_ns: op.to_ns, width_min }
}

fn label(record: &Record) -> String {
    let what = match (&record.op.action, record.outcome()) {
        (Action::Read, Outcome::Saw(saw)) => format!("read {}", short(saw)),
        (Action::Read, _) => "read".to_owned(),
        (Action::Write(value), _) => format!("write {}", short(&Some(value.clone()))),
        (Action::Delete, _) => "delete".to_owned(),
        (Action::Cas { expect, new }, _) => format!("cas {}\u{2192}{}", short(expect), short(new)),
        (Action::Swap(new), Outcome::Saw(saw)) => {
            format!("swap {}\u{2192}{}", short(saw), short(new))
        }
        (Action::Swap(new), _) => format!("swap {}", short(new)),
        (Action::Add(n), Outcome::Saw(sum)) => format!("add {n}\u{2192}{}", short(sum)),
        (Action::Add(n), _) => format!("add {n}"),
    };
    match record.outcome() {
        Outcome::Unknown => what + " ?",
        Outcome::Conflict => what + " conflict",
        Outcome::Failed => what + " failed",
        _ => what,
    }
}

fn short(state: &Option<Value>) -> String {
    const CHARS_MAX: usize = 12;
    let shown = show_state(state);
    match shown.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}\u{2026}", shown.get(..end).unwrap_or_default()),
        None => shown,
    }
}

/// Gives each client a row and each operation a lane in it where it overlaps no other bar.
fn place(ops: &mut [Drawn], axis: &Axis) -> Vec<Row> {
    let mut clients: BTreeMap<(String, String), Vec<&mut Drawn>> = BTreeMap::new();
    for op in ops {
        let row = (op.record.node.to_string(), op.record.client.to_string());
        clients.entry(row).or_default().push(op);
    }
    let mut y = TOP;
    let mut rows = Vec::new();
    for ((node, client), ops) in clients {
        let mut lanes: Vec<f64> = Vec::new();
        for op in ops {
            let from = axis.x(op.record.called.at_ns);
            let free = lanes.iter().position(|end| *end <= from).unwrap_or(lanes.len());
            let end = axis.x(op.to_ns).max(from + room(op).width_min);
            match lanes.get_mut(free) {
                Some(lane) => *lane = end,
                None => lanes.push(end),
            }
            op.y = y + free as f64 * LANE + 4.0;
        }
        let height = lanes.len() as f64 * LANE;
        rows.push(Row { name: format!("{client}  {node}"), y, height });
        y += height;
    }
    rows
}

fn names(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let y = row.y + 19.0;
        format!("<text x='8' y='{y}'>{}</text>", escape(&row.name))
    };
    rows.iter().map(line).collect()
}

fn bands(svg: &mut String, faults: &[Fault], axis: &Axis, height: f64) {
    let mut shown = 0;
    for fault in faults {
        let (from, to) = (axis.x(fault.from_ns), axis.x(fault.to_ns));
        if to <= from {
            continue;
        }
        let y = 12.0 + f64::from(shown % 3) * 13.0;
        let (width, what) = (to - from, escape(&fault.what));
        let _ = write!(
            svg,
            "<rect x='{from:.1}' y='0' width='{width:.1}' height='{height}' fill='#a03080' \
             fill-opacity='.13'/><text x='{:.1}' y='{y}' fill='#803060'>{what}</text>",
            from + 4.0
        );
        shown += 1;
    }
}

fn ticks(svg: &mut String, axis: &Axis, height: f64, width: f64, rows: &[Row]) {
    let ticks = axis.ticks(110.0);
    let start = ticks.first().map_or(0, |(at, _)| *at);
    for (at, x) in ticks {
        let ms = (at - start) as f64 / 1e6;
        let _ = write!(
            svg,
            "<line x1='{x:.1}' x2='{x:.1}' y1='{TOP}' y2='{height}' stroke='#ddd'/>\
             <text x='{x:.1}' y='{}' fill='#777'>{ms:.3} ms</text>",
            TOP - 8.0
        );
    }
    for row in rows {
        let _ = write!(svg, "<line x1='0' x2='{width}' y1='{0}' y2='{0}' stroke='#ddd'/>", row.y);
    }
}

fn bar(
    svg: &mut String,
    op: &Drawn,
    axis: &Axis,
    right: f64,
    violation: &Violation,
    place: Option<&usize>,
) {
    let x = axis.x(op.record.called.at_ns);
    let width = (axis.x(op.to_ns) - x).max(room(op).width_min);
    let is_unknown = *op.record.outcome() == Outcome::Unknown;
    let (fill, ink) = colours(op, violation);
    let dashes = if is_unknown { " stroke-dasharray='4 3'" } else { "" };
    let order = place.map(|place| format!(" #{place}")).unwrap_or_default();
    let _ = write!(
        svg,
        "<g><title>{} by {} at {}, {} to {} ns{order}</title><rect x='{x:.1}' y='{}' \
         width='{width:.1}' height='{BAR_HEIGHT}' rx='3' fill='{fill}' stroke='#666'{dashes}/>\
         <text x='{:.1}' y='{}' fill='{ink}'>{}</text></g>",
        escape(&op.record.to_string()),
        escape(&op.record.client),
        escape(&op.record.node),
        op.record.called.at_ns,
        op.to_ns,
        op.y,
        x + 5.0,
        op.y + 14.5,
        escape(&op.label),
    );
    if is_unknown {
        let _ = write!(
            svg,
            "<line x1='{:.1}' x2='{right}' y1='{1}' y2='{1}' stroke='#999' \
             stroke-dasharray='2 5'/>",
            x + width,
            op.y + BAR_HEIGHT + 2.0
        );
    }
}

fn colours(op: &Drawn, violation: &Violation) -> (&'static str, &'static str) {
    match &op.record.op.action {
        _ if op.id == violation.unplaced => ("#e2483d", "#fff"),
        _ if violation.core.contains(&op.id) => ("#f7b955", "#222"),
        _ if *op.record.outcome() == Outcome::Failed => ("#eee", "#999"),
        _ if *op.record.outcome() == Outcome::Unknown => ("#fff", "#222"),
        Action::Read => ("#cfe3f7", "#222"),
        _ => ("#c5e0b4", "#222"),
    }
}

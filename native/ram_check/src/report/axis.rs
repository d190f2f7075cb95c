//! Time to pixels: in order, but not to scale.
//!
//! Operations of a millisecond between pauses of seconds cannot be read to scale. So a pause is at
//! most [`GAP_MAX`] wide, moments keep [`GAP_MIN`] apart, and a bar is as wide as its label.

use std::collections::BTreeMap;

const GAP_MIN: f64 = 14.0;
const GAP_MAX: f64 = 90.0;
const GAP_TYPICAL: f64 = 30.0;

/// A bar to make room for: from, to (ns), and the least width in pixels.
pub struct Bar {
    pub from_ns: u64,
    pub to_ns: u64,
    pub width_min: f64,
}

/// Grows with time.
pub struct Axis {
    marks: BTreeMap<u64, f64>,
}

impl Axis {
    pub fn new(bars: &[Bar]) -> Axis {
        let mut ends: BTreeMap<u64, Vec<&Bar>> = BTreeMap::new();
        for bar in bars {
            ends.entry(bar.from_ns).or_default();
            ends.entry(bar.to_ns).or_default().push(bar);
        }
        let times: Vec<u64> = ends.keys().copied().collect();
        let mut gaps: Vec<u64> =
            times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a).collect();
        gaps.sort_unstable();
        let typical = gaps.get(gaps.len() / 2).copied().unwrap_or(1).max(1) as f64;
        let mut axis = Axis { marks: BTreeMap::new() };
        let (mut x, mut last) = (0.0, None);
        for (at, ending) in ends {
            let gap = at - last.unwrap_or(at);
            x += (gap as f64 / typical * GAP_TYPICAL).clamp(GAP_MIN, GAP_MAX);
            for bar in ending {
                x = f64::max(x, axis.x(bar.from_ns) + bar.width_min);
            }
            axis.marks.insert(at, x);
            last = Some(at);
        }
        axis
    }

    /// Where a time stands; before and after all marks it stands at the first and last.
    pub fn x(&self, at: u64) -> f64 {
        let before = self.marks.range(..=at).next_back();
        let after = self.marks.range(at..).next();
        match (before, after) {
            (Some((t0, x0)), Some((t1, x1))) if t1 > t0 => {
                x0 + (x1 - x0) * (at - t0) as f64 / (t1 - t0) as f64
            }
            (Some((_, x)), _) | (_, Some((_, x))) => *x,
            (None, None) => 0.0,
        }
    }

    pub fn width(&self) -> f64 {
        self.marks.last_key_value().map_or(0.0, |(_, x)| *x)
    }

    /// Marks at least this far apart, as time and pixel.
    pub fn ticks(&self, apart: f64) -> Vec<(u64, f64)> {
        let mut ticks: Vec<(u64, f64)> = Vec::new();
        for (at, x) in &self.marks {
            if ticks.last().is_none_or(|(_, last)| x - last >= apart) {
                ticks.push((*at, *x));
            }
        }
        ticks
    }
}

#[path = "../../src/value/equal.rs"]
pub mod equal;
#[path = "../../src/value/etf.rs"]
mod etf;
#[path = "../../src/value/extent.rs"]
mod extent;
#[path = "../../src/value/number.rs"]
pub mod number;

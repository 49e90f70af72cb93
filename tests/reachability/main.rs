//! The routing model: cases worked by hand, properties of random machines, and machines that a real
//! kernel has seen.

mod across;
mod astray;
mod beyond;
mod cases;
mod engines;
mod evidence;
mod growth;
mod matrix;
mod models;
mod oracle;
mod properties;
mod survey;

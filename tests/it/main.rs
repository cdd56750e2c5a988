//! One integration binary: behaviour across rings, as sentences.

mod agreement;
mod attacks;
mod bomb;
mod dialect_samples;
mod harness;
mod live;
mod live_books;
mod live_input;
mod live_links;
mod oracle;
mod process;

mod start;
mod stop;
mod stop_races;
mod storm;
mod trade;
mod venue;
mod venue_dialect;
mod venue_samples;
mod venue_streams;
mod worlds;

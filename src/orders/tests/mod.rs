//! What `orders` promises, tried from outside.

mod bench;
mod cancels;
mod creates;
mod machine;
mod moves;

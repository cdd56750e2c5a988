//! What `orders` promises, tried from outside.

mod bench;
mod books;
mod cancels;
mod creates;
mod externals;
mod machine;
mod moves;
mod random;
mod sweep;

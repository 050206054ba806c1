//! temporary
pub mod model;
pub use model::*;

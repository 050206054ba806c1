//! The export macro of `gofe-plugin`.

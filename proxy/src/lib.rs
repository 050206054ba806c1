//! gofe: an edge proxy that people program with WebAssembly.

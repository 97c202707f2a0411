//! Rows of what is told, and to whom.

//! Each kind of sentence.

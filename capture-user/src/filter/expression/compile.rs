//! From the text to the program.

use std::{ffi::CString, thread};

use super::{
    MAX_LENGTH,
    error::ExpressionError,
    names, pieces,
    position::{self, Prober},
    words::{self, Word},
};
use crate::filter::{
    classic::{Instruction, Program},
    libpcap::Compiler,
};

/// Stack for libpcap, which goes through its blocks recursively, and for the tree of a long
/// expression; MAX_LENGTH bytes need less than a quarter of it. Only what is used is taken.
const STACK: usize = 64 << 20;

/// What an expression may cost that is not divided: some 60 hosts.
const SHORT: usize = 128;

/// Compiles an expression in a thread of its own.
pub(super) fn compile(text: &str, netmask: u32) -> Result<Program, ExpressionError> {
    check_length(text)?;
    let words = words::words(text);
    names::check(text, &words)?;
    let failed = |what: String| ExpressionError::of(text, what);
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("filter-compiler".to_owned()).stack_size(STACK);
        let compiling = thread
            .spawn_scoped(scope, || compile_words(text, &words, netmask))
            .map_err(|error| failed(format!("no thread to compile it: {error}")))?;
        let compiled = compiling.join();
        compiled.unwrap_or_else(|_| Err(failed("the thread that compiled it died".to_owned())))
    })
}

fn check_length(text: &str) -> Result<(), ExpressionError> {
    if text.len() > MAX_LENGTH {
        let beginning: String = text.chars().take(MAX_LENGTH / 4).collect();
        let message =
            format!("the expression is too long: {} bytes of at most {MAX_LENGTH}", text.len());
        return Err(ExpressionError::of(&beginning, message));
    }
    if let Some(start) = text.find('\0') {
        let word = Word { kind: words::Kind::Other, start, end: start + 1 };
        return Err(ExpressionError::at(text, word, "a NUL byte is no part of an expression"));
    }
    Ok(())
}

fn compile_words(text: &str, words: &[Word], netmask: u32) -> Result<Program, ExpressionError> {
    let mut compiler = Compiler::new(netmask).map_err(|error| ExpressionError::of(text, error))?;
    let whole = CString::new(text).map_err(|error| ExpressionError::of(text, error.to_string()))?;
    if words.iter().map(|word| word.cost(text)).sum::<usize>() <= SHORT {
        let compiled = compiler.compile(&whole);
        let instructions =
            compiled.map_err(|message| position::locate(&mut compiler, text, words, &message))?;
        return program(text, instructions);
    }
    if let Some(message) = Prober::new(&mut compiler, text, words).refusal() {
        return Err(position::locate(&mut compiler, text, words, &message));
    }
    program(text, pieces::compile(&mut compiler, text, words)?)
}

fn program(text: &str, instructions: Vec<Instruction>) -> Result<Program, ExpressionError> {
    let broken = || ExpressionError::of(text, "libpcap makes no valid program of it");
    Program::new(instructions).ok_or_else(broken)
}

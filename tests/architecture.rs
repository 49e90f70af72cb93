//! The rules of the crate documentation that the compiler does not enforce.
//!
//! * A module imports only from its own layer or a lower one; readers and writers do not know each
//!   other; what tests share is used by tests alone.
//! * `unsafe` stands in the permitted places only, and layers 0 to 6 take no exception from the lints
//!   against panics.
//! * Every Rust file says in its first line what it is, and has at most 600 lines.
//!
//! The source is read as tokens, so that comments and strings do not count, and bodies of macros do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};

/// Layer of each module at the crate's root. A new one has to be put here.
const LAYERS: [(&str, u8); 19] = [
    ("addr", 0),
    ("anomaly", 0),
    ("limits", 0),
    ("config", 1),
    ("cap", 2),
    ("function", 3),
    ("db", 3),
    ("topology", 4),
    ("route", 5),
    ("kernel", 5),
    ("diff", 6),
    ("finding", 6),
    ("dump", 7),
    ("report", 7),
    ("guest", 7),
    ("cli", 8),
    ("main", 8),
    ("capi", 8),
    ("testkit", TESTKIT),
];

/// Beside the layers: imports what is below the command line.
const TESTKIT: u8 = 7;
/// The highest layer that is strict about panics.
const STRICT: u8 = 6;

const MAX_LINES: usize = 600;

/// Where `unsafe` may be: the function that maps a file, the border to C.
const UNSAFE_PERMITTED: [&str; 3] = ["src/dump/map.rs", "src/capi.rs", "src/capi/"];

const PANIC_LINTS: [&str; 9] = [
    "arithmetic_side_effects",
    "expect_used",
    "indexing_slicing",
    "panic",
    "restriction",
    "todo",
    "unimplemented",
    "unreachable",
    "unwrap_used",
];

#[test]
fn the_source_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "examples", "benches", "fuzz"] {
        rust_files(root, folder, &mut files);
    }
    assert!(files.iter().any(|path| path == "src/lib.rs"), "{files:?}");
    let mut violations = Vec::new();
    for path in &files {
        let text = fs::read_to_string(root.join(path)).expect("readable");
        violations.extend(check(path, &text));
    }
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// The Rust files below `folder`, relative to `root`, sorted.
fn rust_files(root: &Path, folder: &str, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    let mut names: Vec<_> = entries.map(|entry| entry.expect("readable").file_name()).collect();
    names.sort();
    for name in names {
        let path = format!("{folder}/{}", name.to_str().expect("UTF-8"));
        if path.ends_with(".rs") {
            files.push(path);
        } else if !path.ends_with("/target") && root.join(&path).is_dir() {
            rust_files(root, &path, files);
        }
    }
}

/// What one file does against the rules.
fn check(path: &str, text: &str) -> Vec<String> {
    let mut violations = BTreeSet::new();
    if !text.starts_with("//!") {
        violations.insert((1, format!("{path}: does not begin with a //! comment")));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        violations.insert((lines, format!("{path}: {lines} lines, {MAX_LINES} are the limit")));
    }
    if path.starts_with("src/") {
        let modules = modules_of(path);
        let mut checker = Checker { path, modules: &modules, violations: &mut violations };
        let stream: TokenStream = text.parse().expect("Rust");
        checker.walk(stream, &modules);
    }
    violations.into_iter().map(|(_, violation)| violation).collect()
}

/// `src/a/b.rs` is module `a::b`, `src/a/mod.rs` is `a`; the library's root is the empty path.
/// `src/a/b_tests.rs` is `a::b::tests`, which `b.rs` names by its path.
fn modules_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut modules: Vec<String> = inner.split('/').map(String::from).collect();
    if modules.last().is_some_and(|last| last == "mod" || last == "lib") {
        modules.pop();
    }
    if let Some(tested) = modules.last().and_then(|last| last.strip_suffix("_tests")).map(String::from) {
        modules.pop();
        modules.extend([tested, "tests".into()]);
    }
    modules
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// Whether a module holds tests.
fn is_test(modules: &[String]) -> bool {
    modules.iter().any(|name| name == "tests")
}

struct Checker<'a> {
    path: &'a str,
    /// The module that the file is.
    modules: &'a [String],
    violations: &'a mut BTreeSet<(usize, String)>,
}

impl Checker<'_> {
    /// Looks at all tokens of the module `modules`.
    fn walk(&mut self, stream: TokenStream, modules: &[String]) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        // Of the attributes since the last item: whether one takes an exception from the lints.
        let mut exception = None;
        let mut at = 0;
        while at < tokens.len() {
            let rest = &tokens[at..];
            match rest {
                [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(body), ..]
                    if *word == "mod" && body.delimiter() == Delimiter::Brace =>
                {
                    let inner = [modules, &[name.to_string()]].concat();
                    self.walk(body.stream(), &inner);
                    at += 3;
                    continue;
                }
                [TokenTree::Ident(word), TokenTree::Ident(name), ..] if *word == "mod" => {
                    if let (true, Some(span)) = (modules.is_empty(), exception.take()) {
                        self.exception(span, &name.to_string());
                    }
                }
                [TokenTree::Ident(word), TokenTree::Group(lints), ..]
                    if (*word == "allow" || *word == "expect") && names_panic_lint(lints.stream()) =>
                {
                    exception = Some(word.span());
                    if let (false, Some(module)) = (is_test(modules), modules.first()) {
                        self.exception(word.span(), module);
                    }
                }
                [TokenTree::Ident(word), ..] if *word == "unsafe" => self.found_unsafe(word.span()),
                [TokenTree::Ident(word), ..] if at == 0 || !ends_path(&tokens[..at]) => {
                    if let (Some(base), Some(after)) = (self.base(&word.to_string(), modules), path_sep(rest))
                    {
                        self.follow(after, base, modules, word.span());
                    } else if (*word == "crate" || *word == "acsscan") && is_as(rest.get(1)) {
                        self.violation(word.span(), "gives the crate another name");
                    }
                }
                _ => {}
            }
            if let TokenTree::Group(group) = &tokens[at] {
                self.walk(group.stream(), modules);
                // An attribute in a file's root: what it holds belongs to the item that follows.
                if group.delimiter() == Delimiter::Bracket && takes_exception(group.stream()) {
                    exception = Some(group.span());
                }
            }
            at += 1;
        }
    }

    /// The module that a path which begins with `word` starts from.
    fn base(&self, word: &str, modules: &[String]) -> Option<Vec<String>> {
        match word {
            // In the binary, `crate` is the binary.
            "crate" if self.path == "src/main.rs" => Some(self.modules.to_vec()),
            "crate" | "acsscan" => Some(Vec::new()),
            "self" => Some(modules.to_vec()),
            "super" => modules.split_last().map(|(_, above)| above.to_vec()),
            _ => None,
        }
    }

    /// Follows a path, or a tree of them, from the module `base`.
    fn follow(&mut self, tokens: &[TokenTree], mut base: Vec<String>, modules: &[String], span: Span) {
        match tokens {
            [TokenTree::Ident(word), ..] if *word == "super" => {
                base.pop();
                match path_sep(tokens) {
                    Some(after) => self.follow(after, base, modules, span),
                    None => self.import(base.first().map_or("", String::as_str), modules, span),
                }
            }
            [TokenTree::Ident(name), ..] => {
                let name = name.to_string();
                self.import(base.first().unwrap_or(&name), modules, span);
            }
            [TokenTree::Group(tree), ..] => {
                let branches: Vec<TokenTree> = tree.stream().into_iter().collect();
                let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
                for branch in branches.split(is_comma).filter(|branch| !branch.is_empty()) {
                    self.follow(branch, base.clone(), modules, span);
                }
            }
            // A glob, or the end of something that is no path.
            _ => self.import(base.first().map_or("*", String::as_str), modules, span),
        }
    }

    /// Judges an import of the root module `target` from the module `modules`.
    fn import(&mut self, target: &str, modules: &[String], span: Span) {
        // The library's root declares the modules; nothing is below it.
        let Some(own) = modules.first() else { return };
        if own == target || target == "self" {
            return;
        }
        let (Some(own_layer), Some(target_layer)) = (layer(own), layer(target)) else {
            return self.violation(span, &format!("module {own} or {target} has no layer"));
        };
        if target == "testkit" {
            if !is_test(modules) {
                self.violation(span, &format!("{own} uses testkit, which is for tests"));
            }
        } else if target_layer > own_layer {
            let text = format!("{own} (layer {own_layer}) imports {target} (layer {target_layer})");
            self.violation(span, &text);
        } else if matches!((own.as_str(), target), ("dump", "report") | ("report", "dump")) {
            self.violation(span, &format!("{own} imports {target}"));
        }
    }

    fn found_unsafe(&mut self, span: Span) {
        let permitted = |place: &str| match place.ends_with('/') {
            true => self.path.starts_with(place),
            false => self.path == place,
        };
        if !UNSAFE_PERMITTED.into_iter().any(permitted) {
            self.violation(span, "unsafe");
        }
    }

    fn exception(&mut self, span: Span, module: &str) {
        if layer(module).is_none_or(|layer| layer <= STRICT) {
            self.violation(span, &format!("{module} takes an exception from the lints against panics"));
        }
    }

    fn violation(&mut self, span: Span, text: &str) {
        let line = span.start().line;
        self.violations.insert((line, format!("{}:{line}: {text}", self.path)));
    }
}

/// What follows `word::`.
fn path_sep(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [_, TokenTree::Punct(a), TokenTree::Punct(b), after @ ..]
            if a.as_char() == ':' && a.spacing() == Spacing::Joint && b.as_char() == ':' =>
        {
            Some(after)
        }
        _ => None,
    }
}

fn is_as(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Ident(word)) if *word == "as")
}

/// Whether the tokens end with `::`, so that what follows is not the start of a path.
fn ends_path(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [.., TokenTree::Punct(a), TokenTree::Punct(b)]
        if a.as_char() == ':' && a.spacing() == Spacing::Joint && b.as_char() == ':')
}

fn names_panic_lint(lints: TokenStream) -> bool {
    lints.into_iter().any(
        |token| matches!(token, TokenTree::Ident(name) if PANIC_LINTS.contains(&name.to_string().as_str())),
    )
}

/// Whether an attribute holds `allow` or `expect` of such a lint, `cfg_attr` included.
fn takes_exception(attribute: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    tokens.windows(2).any(|pair| match pair {
        [TokenTree::Ident(word), TokenTree::Group(group)] if *word == "allow" || *word == "expect" => {
            names_panic_lint(group.stream())
        }
        [TokenTree::Ident(word), TokenTree::Group(group)] if *word == "cfg_attr" => {
            takes_exception(group.stream())
        }
        _ => false,
    })
}

#[test]
fn a_planted_violation_is_found() {
    for (path, code, found) in [
        ("src/cap/acs.rs", "use crate::topology::Topology;", "cap (layer 2) imports topology (layer 4)"),
        ("src/cap/acs.rs", "use crate::{addr::Sbdf, config::{self, Source}, db::Database};", "imports db"),
        ("src/cap/acs.rs", "use super::super::route::linux;", "cap (layer 2) imports route (layer 5)"),
        ("src/cap/mod.rs", "use super::{addr, finding};", "cap (layer 2) imports finding (layer 6)"),
        ("src/addr.rs", "mod tests { use super::super::cap; }", "addr (layer 0) imports cap (layer 2)"),
        ("src/db/mod.rs", "fn f() { let x = crate::topology::Topology::new(i); }", "imports topology"),
        ("src/db/mod.rs", "macro_rules! m { () => { $crate::report::text() } }", "imports report (layer 7)"),
        ("src/db/mod.rs", "fn f() { write!(f, \"{}\", crate::dump::name()); }", "imports dump (layer 7)"),
        ("src/dump/text.rs", "use crate::report::escape;", "dump imports report"),
        ("src/report/text.rs", "pub(in crate::dump) fn f() {}", "report imports dump"),
        ("src/report/text.rs", "use crate::cli::Options;", "report (layer 7) imports cli (layer 8)"),
        ("src/testkit/mod.rs", "use crate::cli::Options;", "testkit (layer 7) imports cli (layer 8)"),
        ("src/route/mod.rs", "use crate::testkit::topology;", "route uses testkit"),
        ("src/main.rs", "use acsscan::testkit;", "main uses testkit"),
        ("src/route/mod.rs", "use crate::new_module::X;", "route or new_module has no layer"),
        ("src/route/mod.rs", "use crate::*;", "route or * has no layer"),
        ("src/route/mod.rs", "use crate as library;", "gives the crate another name"),
        ("src/dump/ecam.rs", "fn f() { unsafe { g() } }", "unsafe"),
        ("src/cli/mod.rs", "#[unsafe(no_mangle)] fn f() {}", "unsafe"),
        ("src/cap/acs.rs", "#[allow(clippy::indexing_slicing)] fn f() {}", "takes an exception"),
        ("src/lib.rs", "#[expect(clippy::panic, reason = \"x\")] pub mod route;", "route takes an exception"),
    ] {
        let violations = check(path, &format!("//! A file.\n\n{code}\n"));
        assert!(
            matches!(violations.as_slice(), [one] if one.contains(found) && one.starts_with(&format!("{path}:3: "))),
            "{path}: {code}\nfound {violations:?}, not {found:?}"
        );
    }
    assert_eq!(check("tests/a.rs", "fn f() {}\n"), ["tests/a.rs: does not begin with a //! comment"]);
    let long = format!("//! A file.\n{}", "\n".repeat(MAX_LINES));
    assert_eq!(check("src/addr.rs", &long), ["src/addr.rs: 601 lines, 600 are the limit"]);
}

#[test]
fn what_the_rules_permit_is_not_found() {
    for (path, code) in [
        ("src/cap/acs.rs", "use crate::config::{ConfigSpace, Source};\nuse super::id;\nuse self::reg::A;"),
        ("src/cap/acs.rs", "/// Known to [`crate::db`]: `crate::db::X`.\nfn f() {} // crate::db::X"),
        ("src/cap/acs.rs", "const A: &str = \"crate::db::X\";\npub(crate) struct B;\npub(super) struct C;"),
        ("src/function/decode.rs", "use crate::db::Claim;\nfn f() { self.crate_; super::g() }"),
        ("src/topology/mod.rs", "mod tests { use crate::testkit::root_port; use super::Topology; }"),
        ("src/dump/text_tests.rs", "use super::super::Problem;\nuse crate::testkit::root_port;"),
        ("src/topology/tests.rs", "#![allow(clippy::unwrap_used)]\nuse crate::testkit::root_port;"),
        ("src/testkit/mod.rs", "use crate::dump::read;\nuse crate::report::json;"),
        ("src/dump/map.rs", "fn f() { unsafe { g() } }"),
        ("src/capi/mod.rs", "use crate::report::json;\nunsafe extern \"C\" fn f() {}"),
        ("src/main.rs", "mod terminal;\nuse acsscan::cli;\nuse crate::terminal::x;"),
        (
            "src/lib.rs",
            "#![deny(unsafe_code)]\n#[allow(clippy::indexing_slicing)]\npub mod dump;\npub mod cap;",
        ),
    ] {
        let violations = check(path, &format!("//! A file.\n{code}\n"));
        assert!(violations.is_empty(), "{path}: {code}\n{violations:?}");
    }
}

//! What a module must not do: nest without end, call itself, or call a builtin whose cost its arguments do not
//! bound.

use std::collections::BTreeSet;

use life_agent_domain::governance::fault::Fault;
use regorus::Value;
use regorus::rvm::Instruction;
use regorus::rvm::instructions::LiteralOrRegister;
use regorus::rvm::program::Program;

/// Brackets within brackets. The compiler's time doubles with each.
const MAX_NESTING: usize = 10;
/// Bytes of a line. The parser panics when it reports a fault far to the right.
const MAX_LINE: usize = 16 * 1024;
/// Digits of a width or precision in a format.
const MAX_WIDTH_DIGITS: usize = 3;

/// Builtins whose time and memory are bounded by their arguments, which the size of a request bounds.
const ALLOWED: &[&str] = &[
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "bits.and",
    "bits.negate",
    "bits.or",
    "bits.rsh",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "glob.match",
    "glob.quote_meta",
    "graph.reachable",
    "hex.decode",
    "hex.encode",
    "indexof",
    "indexof_n",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.marshal_with_options",
    "json.patch",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "net.cidr_contains",
    "net.cidr_is_valid",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "print",
    "product",
    "regex.find_all_string_submatch_n",
    "regex.find_n",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "regex.template_match",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.replace_n",
    "strings.reverse",
    "substring",
    "sum",
    "time.add_date",
    "time.clock",
    "time.date",
    "time.diff",
    "time.format",
    "time.parse_duration_ns",
    "time.parse_ns",
    "time.parse_rfc3339_ns",
    "time.weekday",
    "to_number",
    "trace",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "upper",
    "urlquery.decode",
    "urlquery.decode_object",
    "urlquery.encode",
    "urlquery.encode_object",
    "uuid.parse",
    "walk",
    "yaml.is_valid",
    "yaml.marshal",
    "yaml.unmarshal",
];

/// Why a builtin is not available, where there is more to say than that its cost has no bound.
const REASONS: &[(&str, &str)] = &[
    ("http.send", "it reaches out of the gate"),
    ("opa.runtime", "it shows the environment"),
    ("rand.intn", "it gives another answer each time"),
    ("test.sleep", "it waits"),
    ("time.now_ns", "it gives another answer each time"),
    ("uuid.rfc4122", "it gives another answer each time"),
];

/// The fault of a module's text, before anything parses it.
pub(super) fn of_text(text: &str) -> Option<String> {
    if text.lines().any(|line| line.len() > MAX_LINE) {
        return Some(format!("has a line of more than {MAX_LINE} bytes; divide it"));
    }
    let mut depth = 0_usize;
    for token in Tokens::of(text) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') if depth == 0 => return Some(UNBALANCED.to_owned()),
            Token::Sign(')' | ']' | '}') => depth -= 1,
            Token::Format(None) => {
                return Some(
                    "the format of `sprintf` must be a text in the module: one out of the input could take any \
                     amount of memory"
                        .to_owned(),
                );
            }
            Token::Format(Some(format)) if is_wide(format) => {
                return Some(
                    "a format of `sprintf` has a width of more than three digits".to_owned(),
                );
            }
            // It includes the bracket of the call.
            Token::Format(Some(_)) => depth += 1,
            Token::Sign(_) => {}
        }
        if depth > MAX_NESTING {
            return Some(format!(
                "is nested deeper than {MAX_NESTING} brackets; give the inner parts names of their own"
            ));
        }
    }
    (depth > 0).then(|| UNBALANCED.to_owned())
}

/// Refused here: the parser tries every reading of a bracket, and takes forever until it finds that none ends.
const UNBALANCED: &str = "has a bracket without a partner";

/// The faults of a compiled program.
pub(super) fn of_program(program: &Program) -> Vec<Fault> {
    let builtins = program.builtin_info_table.iter().map(|builtin| builtin.name.as_str());
    let refused =
        builtins.filter(|name| !name.starts_with("__") && !ALLOWED.contains(name)).map(|name| {
            let why = REASONS.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
            let why = why.unwrap_or("its arguments do not bound what it costs");
            Fault::new("opa", format!("`{name}` is not available here: {why}"))
        });
    let mut faults: Vec<_> = refused.collect();
    if let Some(names) = recursion(program) {
        let message =
            format!("rules call themselves: {}; write them without recursion", names.join(" → "));
        faults.push(Fault::new("opa", message));
    }
    faults
}

/// The names of rules that lead back to the first of them.
fn recursion(program: &Program) -> Option<Vec<String>> {
    let calls = calls(program);
    let mut state = vec![Visit::New; calls.len()];
    for start in 0..calls.len() {
        // Each entry: a rule, and how many of its calls have been followed.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        if state[start] != Visit::New {
            continue;
        }
        state[start] = Visit::Open;
        while let Some((rule, followed)) = path.last_mut() {
            let Some(next) = calls[*rule].iter().nth(*followed).copied() else {
                state[*rule] = Visit::Done;
                path.pop();
                continue;
            };
            *followed += 1;
            match state.get(next) {
                Some(Visit::Open) => {
                    let from = path.iter().position(|(rule, _)| *rule == next).unwrap_or_default();
                    let circle = path.iter().skip(from).map(|(rule, _)| *rule).chain([next]);
                    let name =
                        |rule: usize| program.rule_infos.get(rule).map(|info| info.name.clone());
                    return Some(circle.filter_map(name).collect());
                }
                Some(Visit::New) => {
                    state[next] = Visit::Open;
                    path.push((next, 0));
                }
                Some(Visit::Done) | None => {}
            }
        }
    }
    None
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}

/// Which rules each rule may call.
fn calls(program: &Program) -> Vec<BTreeSet<usize>> {
    let mut calls = vec![BTreeSet::new(); program.rule_infos.len()];
    // The body of a rule reaches from one of its entries to the next entry of any rule.
    let mut entries: Vec<(usize, usize)> = Vec::new();
    for (rule, info) in program.rule_infos.iter().enumerate() {
        let bodies =
            info.definitions.iter().flatten().chain(info.destructuring_blocks.iter().flatten());
        entries.extend(bodies.map(|entry| (*entry as usize, rule)));
    }
    entries.extend(program.entry_points.values().map(|entry| (*entry, usize::MAX)));
    entries.sort_unstable();
    for (at, instruction) in program.instructions.iter().enumerate() {
        let before = entries.partition_point(|(entry, _)| *entry <= at);
        let owner = before.checked_sub(1).and_then(|index| entries.get(index));
        let Some(called) = owner.and_then(|(_, rule)| calls.get_mut(*rule)) else { continue };
        match instruction {
            Instruction::CallRule { rule_index, .. } => {
                called.insert(usize::from(*rule_index));
            }
            Instruction::FunctionCall { params_index } => {
                let params =
                    program.instruction_data.function_call_params.get(usize::from(*params_index));
                called.extend(params.map(|params| usize::from(params.func_rule_index)));
            }
            Instruction::VirtualDataDocumentLookup { params_index } => {
                let params = &program.instruction_data.virtual_data_document_lookup_params;
                let path =
                    params.get(usize::from(*params_index)).map(|params| &params.path_components);
                called.extend(path.map(|path| below(program, path)).into_iter().flatten());
            }
            _ => {}
        }
    }
    calls
}

/// The rules that a lookup may reach whose end is known only as it runs.
fn below(program: &Program, path: &[LiteralOrRegister]) -> Vec<usize> {
    let known = path.iter().map_while(|part| match part {
        LiteralOrRegister::Literal(index) => match program.literals.get(usize::from(*index)) {
            Some(Value::String(name)) => Some(name.to_string()),
            _ => None,
        },
        LiteralOrRegister::Register(_) => None,
    });
    let prefix = known.fold("data".to_owned(), |prefix, part| format!("{prefix}.{part}"));
    let rules = program.rule_infos.iter().enumerate();
    let is_below = |name: &str| {
        name.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    rules.filter(|(_, info)| is_below(&info.name)).map(|(rule, _)| rule).collect()
}

fn is_wide(format: &str) -> bool {
    format.split('%').skip(1).any(|verb| {
        let head =
            verb.bytes().take_while(|byte| byte.is_ascii_digit() || b".+-# *[]".contains(byte));
        let head: Vec<u8> = head.collect();
        let mut runs = head.split(|byte| !byte.is_ascii_digit());
        head.contains(&b'*') || runs.any(|digits| digits.len() > MAX_WIDTH_DIGITS)
    })
}

/// The parts of a module that the bounds are about.
enum Token<'t> {
    /// A sign outside of texts and comments.
    Sign(char),
    /// A call of `sprintf`, with its format if that is a text.
    Format(Option<&'t str>),
}

/// Reads a module without its texts and comments.
struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    fn of(text: &'t str) -> Self {
        Self { rest: text }
    }

    /// Takes a text at the start, without its quotes; `None` if there is none.
    fn text(&mut self) -> Option<&'t str> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '"' | '`'))?;
        let mut escaped = false;
        let body = self.rest.get(1..)?;
        let end = body.char_indices().find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped && quote == '"';
            ends
        });
        let end = end.map_or(body.len(), |(at, _)| at);
        self.rest = body.get(end + 1..).unwrap_or_default();
        body.get(..end)
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        loop {
            let c = self.rest.chars().next()?;
            if c == '#' {
                self.rest =
                    self.rest.find('\n').and_then(|at| self.rest.get(at..)).unwrap_or_default();
            } else if matches!(c, '"' | '`') {
                let _ = self.text();
            } else if c.is_ascii_alphanumeric() || c == '_' {
                let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = self.rest.find(|c| !is_of_word(c)).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                if word == "sprintf"
                    && let Some(arguments) = self.rest.trim_start().strip_prefix('(')
                {
                    self.rest = arguments.trim_start();
                    let format = Token::Format(self.text());
                    // The bracket counts as well.
                    self.rest = self.rest.trim_start();
                    return Some(format);
                }
            } else {
                self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
                return Some(Token::Sign(c));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_and_lines_are_bounded() {
        let nested = |levels: usize| format!("x := {}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(of_text(&nested(MAX_NESTING)), None);
        assert!(of_text(&nested(MAX_NESTING + 1)).unwrap().contains("nested deeper"));
        let long = |bytes: usize| format!("x := 1\n# {}", "x".repeat(bytes - 2));
        assert_eq!(of_text(&long(MAX_LINE)), None);
        assert!(of_text(&long(MAX_LINE + 1)).unwrap().contains("has a line"));
        let brackets = "[".repeat(40);
        assert_eq!(of_text(&format!("x := \"{brackets}\" # {brackets}\ny := `{brackets}`")), None);
        assert_eq!(of_text("x := \"a\\\"[\" == \"]\""), None);
    }

    #[test]
    fn a_format_must_be_a_plain_text_of_the_module() {
        for good in [
            "sprintf(\"%d of %s\", [1, x])",
            "sprintf( `%3.2f`, [x])",
            "sprintf_like(x, [1])",
            "\"sprintf(x)\"",
        ] {
            assert_eq!(of_text(good), None, "{good}");
        }
        for bad in [
            "sprintf(input.f, [1])",
            "sprintf (x, [1])",
            "sprintf(\"%999999999d\", [1])",
            "sprintf(\"%.9999f\", [1])",
            "sprintf(\"%*d\", [9, 1])",
        ] {
            assert!(of_text(bad).is_some(), "{bad}");
        }
    }
}

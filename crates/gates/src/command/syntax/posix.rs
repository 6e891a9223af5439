//! POSIX shells and bash: the tree of tree-sitter-bash as statements.
//!
//! The grammar says where commands, words and redirects are; [`word`](super::word) reads the words. Where
//! the grammar finds an error, or is known to misread, [`lexer`](super::lexer) reads the text instead, as
//! leniently as a shell that someone types into.

use std::collections::HashMap;
use std::rc::Rc;

use tree_sitter::Node;

use super::grammar;
use super::word::Ends;
use super::{Assignment, Command, Group, Redirect, RedirectKind, Statement, Word};
use crate::command::budget::{Budget, MAX_DEPTH, Unparsed};

/// The state of one text's parsing.
pub(crate) struct Parser<'t, 'b> {
    pub(crate) text: &'t str,
    pub(crate) bytes: &'t [u8],
    /// Substitutions of the tree by their first byte. Empty when the lexer reads the text.
    substitutions: HashMap<usize, Node<'t>>,
    pub(crate) budget: &'b mut Budget,
    pub(crate) depth: usize,
    pub(crate) faults: Vec<Unparsed>,
    /// Where this text begins in the original one.
    pub(crate) base: usize,
    /// For the lexer: line ends that here-documents follow, and where reading goes on.
    pub(crate) skips: HashMap<usize, usize>,
    /// For the lexer: a `case` was seen, so a `)` may end a pattern.
    pub(crate) in_case: bool,
}

/// Statements and whatever could not be read.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) script: Vec<Statement>,
    pub(crate) faults: Vec<Unparsed>,
}

/// Parses a script. `base` is its first byte in the original text.
pub(crate) fn parse(text: &str, base: usize, depth: usize, budget: &mut Budget) -> Parsed {
    let tree = match grammar::tree(text, budget) {
        Ok(tree) => tree,
        Err(fault) => return Parsed { script: Vec::new(), faults: vec![fault] },
    };
    let root = tree.as_ref().map(tree_sitter::Tree::root_node);
    let root = root.filter(|root| !root.has_error());
    let mut parser = Parser {
        text,
        bytes: text.as_bytes(),
        substitutions: HashMap::new(),
        budget,
        depth,
        faults: Vec::new(),
        base,
        skips: HashMap::new(),
        in_case: false,
    };
    let script = match root {
        Some(root) => {
            parser.substitutions = substitutions(root);
            let mut script = Vec::new();
            parser.children(root, &mut script).map(|()| script)
        }
        None => parser.script(0, text.len()),
    };
    let mut faults = parser.faults;
    let script = script.unwrap_or_else(|fault| {
        faults.push(fault);
        Vec::new()
    });
    Parsed { script, faults }
}

fn substitutions(root: Node<'_>) -> HashMap<usize, Node<'_>> {
    let mut found = HashMap::new();
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        if matches!(node.kind(), "command_substitution" | "process_substitution") {
            found.insert(node.start_byte(), node);
        }
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return found;
            }
        }
    }
}

impl<'t> Parser<'t, '_> {
    pub(crate) fn fault(&mut self, fault: Unparsed) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    pub(crate) fn descend(&mut self) -> Result<(), Unparsed> {
        if self.depth >= MAX_DEPTH {
            return Err(Unparsed::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    pub(crate) fn ascend(&mut self) {
        self.depth -= 1;
    }

    /// A script inside this one whose text had to be decoded first: backticks.
    pub(crate) fn nested(&mut self, text: &str, at: usize) -> Result<Vec<Statement>, Unparsed> {
        self.descend()?;
        let parsed = parse(text, self.base + at, self.depth, self.budget);
        self.ascend();
        parsed.faults.into_iter().for_each(|fault| self.fault(fault));
        Ok(parsed.script)
    }

    /// The substitution that opens at `open`, whose script begins at `from`; and where it ends.
    pub(crate) fn substitution(
        &mut self,
        open: usize,
        from: usize,
        end: usize,
    ) -> Result<(Vec<Statement>, usize), Unparsed> {
        self.descend()?;
        let read = match self.substitutions.get(&open).copied() {
            Some(node) if node.end_byte() <= end => {
                let mut script = Vec::new();
                self.children(node, &mut script).map(|()| (script, node.end_byte()))
            }
            _ => self.parenthesized(from, end),
        };
        self.ascend();
        read
    }

    fn children(&mut self, node: Node<'t>, out: &mut Vec<Statement>) -> Result<(), Unparsed> {
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            self.statement(child, out)?;
        }
        Ok(())
    }

    fn statement(&mut self, node: Node<'t>, out: &mut Vec<Statement>) -> Result<(), Unparsed> {
        self.descend()?;
        self.budget.spend(4)?;
        let done = self.statement_here(node, out);
        self.ascend();
        done
    }

    fn statement_here(&mut self, node: Node<'t>, out: &mut Vec<Statement>) -> Result<(), Unparsed> {
        match node.kind() {
            "comment" | "heredoc_start" | "heredoc_body" | "heredoc_end" | "variable_name" => {}
            "program" | "list" | "negated_command" | "do_group" => self.children(node, out)?,
            "command"
            | "declaration_command"
            | "unset_command"
            | "variable_assignment"
            | "variable_assignments" => {
                let command = self.command(node)?;
                out.push(Statement::Command(command));
            }
            "pipeline" => {
                let mut stages = Vec::new();
                let mut cursor = node.walk();
                for child in node.named_children(&mut cursor) {
                    let mut stage = Vec::new();
                    self.statement(child, &mut stage)?;
                    stages.push(stage);
                }
                out.push(Statement::Pipeline(stages));
            }
            "redirected_statement" => self.redirected(node, out)?,
            "subshell" | "compound_statement" => {
                let mut group = Group { isolated: node.kind() == "subshell", ..Group::default() };
                self.children(node, &mut group.body)?;
                out.push(Statement::Group(group));
            }
            "if_statement" | "while_statement" | "elif_clause" | "else_clause" | "case_item" => {
                let mut group = Group { conditional: true, ..Group::default() };
                self.children(node, &mut group.body)?;
                out.push(Statement::Group(group));
            }
            "for_statement" => {
                let mut group = Group { conditional: true, ..Group::default() };
                let mut values = Vec::new();
                let mut cursor = node.walk();
                for value in node.children_by_field_name("value", &mut cursor) {
                    values.push(self.node_word(value)?);
                }
                if let Some(name) = node.child_by_field_name("variable") {
                    group.variable = Some((self.slice(name).to_owned(), values));
                }
                if let Some(body) = node.child_by_field_name("body") {
                    self.statement(body, &mut group.body)?;
                }
                out.push(Statement::Group(group));
            }
            "function_definition" => {
                let name = node.child_by_field_name("name");
                let name = name.map(|name| self.slice(name).to_owned()).unwrap_or_default();
                let mut body = Vec::new();
                if let Some(node) = node.child_by_field_name("body") {
                    self.statement(node, &mut body)?;
                }
                out.push(Statement::Function { name, body: Rc::new(body) });
            }
            // Conditions, values of `case`, arithmetic: only their substitutions run.
            _ => {
                let word = self.node_word(node)?;
                let span = word.span.clone();
                let assignments =
                    vec![Assignment { name: "_".to_owned(), value: word, append: false }];
                out.push(Statement::Command(Command { assignments, span, ..Command::default() }));
                if node.kind() == "case_statement" || node.kind() == "c_style_for_statement" {
                    let mut cursor = node.walk();
                    let bodies = node.named_children(&mut cursor).filter(|child| {
                        matches!(child.kind(), "case_item" | "do_group" | "compound_statement")
                    });
                    for body in bodies {
                        self.statement(body, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn redirected(&mut self, node: Node<'t>, out: &mut Vec<Statement>) -> Result<(), Unparsed> {
        let mut body = Vec::new();
        if let Some(inner) = node.child_by_field_name("body") {
            self.statement(inner, &mut body)?;
        }
        if body.is_empty() {
            let span = node.start_byte() + self.base..node.end_byte() + self.base;
            body.push(Statement::Command(Command { span, ..Command::default() }));
        }
        let mut redirects = Vec::new();
        let mut words = Vec::new();
        let mut after = After::default();
        let mut cursor = node.walk();
        for redirect in node.children_by_field_name("redirect", &mut cursor) {
            self.redirect(redirect, &mut redirects, &mut words, &mut after)?;
        }
        attach(&mut body, redirects, words);
        if !after.stages.is_empty() {
            let mut stages = vec![body];
            stages.append(&mut after.stages);
            body = vec![Statement::Pipeline(stages)];
        }
        out.append(&mut body);
        out.append(&mut after.next);
        Ok(())
    }

    fn redirect(
        &mut self,
        node: Node<'t>,
        redirects: &mut Vec<Redirect>,
        words: &mut Vec<Word>,
        after: &mut After,
    ) -> Result<(), Unparsed> {
        match node.kind() {
            "file_redirect" => {
                let kind = self.operator(node);
                let mut cursor = node.walk();
                let mut destinations = node.children_by_field_name("destination", &mut cursor);
                if let Some(first) = destinations.next() {
                    redirects.push(Redirect { kind, word: self.node_word(first)? });
                }
                // The grammar takes the arguments after a redirect for further destinations.
                for argument in destinations {
                    words.push(self.node_word(argument)?);
                }
            }
            "herestring_redirect" => {
                let mut cursor = node.walk();
                for child in node.named_children(&mut cursor) {
                    let word = self.node_word(child)?;
                    redirects.push(Redirect { kind: RedirectKind::Text, word });
                }
            }
            "heredoc_redirect" => self.here_document(node, redirects, words, after)?,
            _ => {}
        }
        Ok(())
    }

    fn here_document(
        &mut self,
        node: Node<'t>,
        redirects: &mut Vec<Redirect>,
        words: &mut Vec<Word>,
        after: &mut After,
    ) -> Result<(), Unparsed> {
        let mut cursor = node.walk();
        let mut literal = false;
        let children: Vec<_> = node.children(&mut cursor).collect();
        for (index, child) in children.into_iter().enumerate() {
            let field = node.field_name_for_child(u32::try_from(index).unwrap_or(u32::MAX));
            match (child.kind(), field) {
                ("heredoc_start", _) => {
                    literal = self.slice(child).contains(['\'', '"', '\\']);
                }
                ("heredoc_body", _) => {
                    let (from, to) = (child.start_byte(), child.end_byte());
                    let word = if literal {
                        let span = from + self.base..to + self.base;
                        Word::literal(&self.text[from..to], span)
                    } else {
                        self.text_with_expansions(from, to)?
                    };
                    redirects.push(Redirect { kind: RedirectKind::Text, word });
                }
                ("pipeline", _) => {
                    let mut cursor = child.walk();
                    for stage in child.named_children(&mut cursor) {
                        let mut statements = Vec::new();
                        self.statement(stage, &mut statements)?;
                        after.stages.push(statements);
                    }
                }
                (_, Some("redirect")) => {
                    self.descend()?;
                    self.redirect(child, redirects, words, after)?;
                    self.ascend();
                }
                (_, Some("right")) => self.statement(child, &mut after.next)?,
                (_, Some("argument")) => words.push(self.node_word(child)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn operator(&self, node: Node<'t>) -> RedirectKind {
        let mut cursor = node.walk();
        let operator = node.children(&mut cursor).find(|child| !child.is_named());
        match operator.map_or("", |operator| self.slice(operator)) {
            "<" => RedirectKind::Input,
            ">>" | "&>>" => RedirectKind::Append,
            "<&" | ">&" | "<&-" | ">&-" => RedirectKind::Duplicate,
            _ => RedirectKind::Write,
        }
    }

    fn command(&mut self, node: Node<'t>) -> Result<Command, Unparsed> {
        let span = node.start_byte() + self.base..node.end_byte() + self.base;
        let mut command = Command { span, ..Command::default() };
        if node.kind() == "variable_assignment" {
            command.assignments.push(self.assignment(node)?);
            return Ok(command);
        }
        if matches!(node.kind(), "declaration_command" | "unset_command")
            && let Some(keyword) = node.child(0)
        {
            let span = keyword.start_byte() + self.base..keyword.end_byte() + self.base;
            command.words.push(Word::literal(self.slice(keyword), span));
        }
        let mut after = After::default();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "variable_assignment" => {
                    let assignment = self.assignment(child)?;
                    command.assignments.push(assignment);
                }
                "file_redirect" | "herestring_redirect" | "heredoc_redirect" => {
                    self.redirect(child, &mut command.redirects, &mut command.words, &mut after)?
                }
                "comment" => {}
                // A subshell as a value: `env=(a b)`.
                _ => command.words.push(self.node_word(child)?),
            }
        }
        Ok(command)
    }

    fn assignment(&mut self, node: Node<'t>) -> Result<Assignment, Unparsed> {
        let text = self.slice(node);
        let value = node.child_by_field_name("value");
        let name_end = text.find(['=', '+', '[']).unwrap_or(text.len());
        let append = text[name_end..].starts_with("+=");
        let value = match value {
            Some(value) if value.kind() == "array" => {
                self.word(value.start_byte() + 1, value.end_byte() - 1, Ends::Range)?.0
            }
            Some(value) => self.node_word(value)?,
            None => Word::default(),
        };
        Ok(Assignment { name: text[..name_end].to_owned(), value, append })
    }

    fn node_word(&mut self, node: Node<'t>) -> Result<Word, Unparsed> {
        Ok(self.word(node.start_byte(), node.end_byte(), Ends::Range)?.0)
    }

    fn slice(&self, node: Node<'t>) -> &'t str {
        self.text.get(node.start_byte()..node.end_byte()).unwrap_or_default()
    }
}

/// What follows a here-document's start on the same line.
#[derive(Default)]
struct After {
    stages: Vec<Vec<Statement>>,
    next: Vec<Statement>,
}

/// Adds redirects, and arguments written after them, to the last of the statements.
pub(crate) fn attach(body: &mut [Statement], redirects: Vec<Redirect>, words: Vec<Word>) {
    match body.last_mut() {
        Some(Statement::Command(command)) => {
            command.redirects.extend(redirects);
            command.words.extend(words);
        }
        Some(Statement::Group(group)) => group.redirects.extend(redirects),
        Some(Statement::Pipeline(stages)) => {
            if let Some(stage) = stages.last_mut() {
                attach(stage, redirects, words);
            }
        }
        Some(Statement::Function { .. }) | None => {}
    }
}

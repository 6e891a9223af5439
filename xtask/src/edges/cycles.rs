//! Import cycles between the files of one crate.
//!
//! A file imports another if one of its paths (in a `use` or in code) names an item that the other defines. An
//! import through a re-export counts for the file that defines the item, and a re-export itself is no import, so a
//! facade connects nothing. Test code and macro arguments are ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// Largest set of files that import each other, directly or through others.
const MAX_FILES: usize = 3;
/// Crates with larger cycles that are still to be broken, each with the size that it must not exceed.
const KNOWN: &[(&str, usize)] = &[("crates/groq", 4)];
/// Crates with two halves, the first of which must not import the second.
const ONE_WAY: &[(&str, &str, &str)] = &[("crates/domain", "governance", "agent")];

/// A module path below the crate root; empty for the root.
type Module = Vec<String>;

/// Fails on every crate with a cycle of too many files.
pub(super) fn check(root: &Path) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for folder in ["crates", "bins"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            let name = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            let allowed =
                KNOWN.iter().find(|(known, _)| *known == name).map_or(MAX_FILES, |(_, n)| *n);
            let source = root.join(&name).join("src");
            let Some(entry) = ["lib.rs", "main.rs"]
                .map(|file| source.join(file))
                .into_iter()
                .find(|f| f.exists())
            else {
                continue;
            };
            for cycle in cycles(&Crate::read(&entry)?.imports()) {
                if cycle.len() > allowed {
                    let files: Vec<_> = cycle.iter().map(|module| shown(module)).collect();
                    faults.push(format!(
                        "{name}: {} files import each other: {}",
                        files.len(),
                        files.join(", ")
                    ));
                }
            }
        }
    }
    anyhow::ensure!(faults.is_empty(), "import cycles:\n  {}", faults.join("\n  "));
    Ok(())
}

/// Fails on every import from the first half of a crate to the second.
pub(super) fn check_directions(root: &Path) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for (name, from, to) in ONE_WAY {
        let imports = Crate::read(&root.join(name).join("src/lib.rs"))?.imports();
        faults.extend(
            wrong_way(&imports, from, to).into_iter().map(|edge| format!("{name}: {edge}")),
        );
    }
    anyhow::ensure!(
        faults.is_empty(),
        "imports in the wrong direction:\n  {}",
        faults.join("\n  ")
    );
    Ok(())
}

fn wrong_way(imports: &BTreeMap<Module, BTreeSet<Module>>, from: &str, to: &str) -> Vec<String> {
    let is_in = |module: &Module, half: &str| module.first().is_some_and(|first| first == half);
    let edges = imports.iter().filter(|(module, _)| is_in(module, from));
    edges
        .flat_map(|(module, targets)| targets.iter().map(move |target| (module, target)))
        .filter(|(_, target)| is_in(target, to))
        .map(|(module, target)| format!("`{}` imports `{}`", shown(module), shown(target)))
        .collect()
}

fn shown(module: &[String]) -> String {
    if module.is_empty() { "the root".to_owned() } else { module.join("::") }
}

/// The files of a crate by module, each with its paths.
#[derive(Default)]
struct Crate {
    files: BTreeMap<Module, File>,
}

/// The paths of one file, absolute within the crate.
#[derive(Default)]
struct File {
    imports: Vec<Module>,
    /// Re-exported names, each with the path of its item.
    exports: BTreeMap<String, Module>,
}

impl Crate {
    /// Reads a crate from its root file.
    fn read(entry: &Path) -> anyhow::Result<Self> {
        let mut read = Self::default();
        let folder = entry.parent().unwrap_or(Path::new(".")).to_owned();
        let mut waiting: Vec<(Module, PathBuf, PathBuf)> =
            vec![(Vec::new(), entry.to_owned(), folder)];
        while let Some((module, path, folder)) = waiting.pop() {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("reading `{}`", path.display()))?;
            let parsed =
                syn::parse_file(&text).with_context(|| format!("parsing `{}`", path.display()))?;
            for name in child_modules(&parsed.items) {
                let inner = folder.join(&name);
                let candidates = [folder.join(format!("{name}.rs")), inner.join("mod.rs")];
                if let Some(file) = candidates.into_iter().find(|file| file.exists()) {
                    waiting.push(([module.as_slice(), &[name]].concat(), file, inner));
                }
            }
            read.add(module, &parsed);
        }
        Ok(read)
    }

    fn add(&mut self, module: Module, parsed: &syn::File) {
        let mut paths = Paths { module: module.clone(), depth: 0, file: File::default() };
        paths.visit_file(parsed);
        self.files.insert(module, paths.file);
    }

    /// Which file imports which.
    fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let of_file = |(module, file): (&Module, &File)| {
            let targets = file.imports.iter().filter_map(|path| self.definition(path, 0));
            (module.clone(), targets.filter(|target| target != module).collect())
        };
        self.files.iter().map(of_file).collect()
    }

    /// The file that defines the item at a path.
    fn definition(&self, path: &[String], followed: usize) -> Option<Module> {
        let length = (0..=path.len())
            .rev()
            .find(|n| path.get(..*n).is_some_and(|p| self.files.contains_key(p)))?;
        let (module, rest) = path.split_at_checked(length)?;
        let exported = rest.first().and_then(|name| self.files.get(module)?.exports.get(name));
        match exported {
            // A chain of re-exports is short; the bound ends one that leads to itself.
            Some(item) if followed < 8 => self.definition(item, followed + 1),
            _ => Some(module.to_vec()),
        }
    }
}

/// The modules of a file that have a file of their own.
fn child_modules(items: &[Item]) -> Vec<String> {
    let module = |item: &Item| match item {
        Item::Mod(module) if module.content.is_none() && !is_test(&module.attrs) => {
            Some(module.ident.to_string())
        }
        _ => None,
    };
    items.iter().filter_map(module).collect()
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let mut test = false;
        if attribute.path().is_ident("cfg") {
            let _ = attribute.parse_nested_meta(|meta| {
                test |= meta.path.is_ident("test");
                Ok(())
            });
        }
        test
    })
}

/// Collects the paths of a file.
struct Paths {
    module: Module,
    /// Inline modules around the current item.
    depth: usize,
    file: File,
}

impl Paths {
    /// The absolute path of one that starts with `crate`, `self` or `super`.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        // Inline modules are part of the file's module here, so the first `super`s of an inline module lead to it.
        let (mut base, mut inline) = (self.module.clone(), self.depth);
        let mut rest = path.iter().peekable();
        match rest.next()?.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => up(&mut base, &mut inline),
            _ => return None,
        }
        while rest.next_if(|segment| *segment == "super").is_some() {
            up(&mut base, &mut inline);
        }
        base.extend(rest.cloned());
        Some(base)
    }

    fn add(&mut self, path: &[String]) {
        self.file.imports.extend(self.absolute(path));
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String], public: bool) {
        match tree {
            UseTree::Path(path) => {
                let path_before = [before, &[path.ident.to_string()]].concat();
                self.add_tree(&path.tree, &path_before, public);
            }
            UseTree::Name(name) => self.add_leaf(before, &name.ident.to_string(), None, public),
            UseTree::Rename(name) => {
                let rename = Some(name.rename.to_string());
                self.add_leaf(before, &name.ident.to_string(), rename, public);
            }
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, before, public);
                }
            }
        }
    }

    fn add_leaf(&mut self, before: &[String], name: &str, rename: Option<String>, public: bool) {
        let path = match name {
            "self" => before.to_vec(),
            name => [before, &[name.to_owned()]].concat(),
        };
        if !public {
            return self.add(&path);
        }
        // A re-export may name a child module without `self`.
        let item = self.absolute(&path).unwrap_or_else(|| [self.module.as_slice(), &path].concat());
        if let Some(last) = rename.or_else(|| path.last().cloned()) {
            self.file.exports.insert(last, item);
        }
    }
}

fn up(base: &mut Module, inline: &mut usize) {
    if *inline > 0 {
        *inline -= 1;
    } else {
        base.pop();
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) && item.content.is_some() {
            self.depth += 1;
            visit::visit_item_mod(self, item);
            self.depth -= 1;
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            let public = !matches!(item.vis, syn::Visibility::Inherited);
            self.add_tree(&item.tree, &[], public);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        visit::visit_path(self, path);
    }

    // Links in attributes are no imports.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    // `pub(super)` names no item.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// Sets of two or more files that import each other, directly or through others.
fn cycles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<BTreeSet<Module>> {
    let reachable: BTreeMap<_, _> =
        imports.keys().map(|from| (from, reachable(from, imports))).collect();
    let mut found: Vec<BTreeSet<Module>> = Vec::new();
    for (from, to) in &reachable {
        let cycle: BTreeSet<Module> = to
            .iter()
            .filter(|other| reachable.get(*other).is_some_and(|back| back.contains(*from)))
            .cloned()
            .collect();
        if cycle.len() > 1 && !found.contains(&cycle) {
            found.push(cycle);
        }
    }
    found
}

fn reachable(from: &Module, imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(module) = waiting.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if seen.insert(next.clone()) {
                waiting.push(next);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut all = Crate::default();
        for (module, text) in files {
            let module =
                module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            all.add(module, &syn::parse_file(text).unwrap());
        }
        let found = cycles(&all.imports());
        found.iter().map(|cycle| cycle.iter().map(|module| shown(module)).collect()).collect()
    }

    #[test]
    fn a_cycle_is_found_through_uses_and_inline_paths() {
        let found = cycles_of(&[
            ("", "mod a; mod b; mod c;"),
            ("a", "use crate::{b::B, c}; fn f() {}"),
            ("b", "fn f() { super::c::g::<u8>() }"),
            ("c", "impl crate::a::Trait for u8 {}"),
        ]);
        assert_eq!(found, [["a", "b", "c"]]);
    }

    #[test]
    fn a_re_export_counts_for_the_file_that_defines_the_item() {
        let facade = "mod a; mod b; pub use a::A; pub use self::b::B as C;";
        assert!(cycles_of(&[("", facade), ("a", "use crate::C;"), ("b", "")]).is_empty());
        let found = cycles_of(&[("", facade), ("a", "use crate::C;"), ("b", "use crate::A;")]);
        assert_eq!(found, [["a", "b"]]);
    }

    #[test]
    fn test_code_and_declarations_are_ignored() {
        let found = cycles_of(&[
            ("", "pub mod a; pub mod b;"),
            ("a", "pub(super) fn f() {} #[cfg(test)] mod tests { use crate::b::B; use super::*; }"),
            ("b", "use crate::a; mod inline { use super::x; use super::super::a::y; }"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn parents_and_children_count_like_other_files() {
        let found =
            cycles_of(&[("", "mod a;"), ("a", "use self::b::B;"), ("a::b", "use super::A;")]);
        assert_eq!(found, [["a", "a::b"]]);
    }

    #[test]
    fn an_import_in_the_wrong_direction_is_found() {
        let mut halves = Crate::default();
        for (module, text) in
            [("agent", "use crate::governance;"), ("governance", "use crate::agent::A;")]
        {
            halves.add(vec![module.to_owned()], &syn::parse_file(text).unwrap());
        }
        let imports = halves.imports();
        assert_eq!(wrong_way(&imports, "governance", "agent"), ["`governance` imports `agent`"]);
        assert!(wrong_way(&imports, "policy", "agent").is_empty());
    }

    #[test]
    fn the_workspace_has_no_large_cycle() {
        check(&crate::root()).unwrap();
        check_directions(&crate::root()).unwrap();
    }
}

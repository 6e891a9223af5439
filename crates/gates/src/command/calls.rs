//! Calls in one-liners of Python, Ruby, Perl, Node and others, by what their names say.

/// What a call does with its literals.
pub(super) enum Call {
    /// Runs them as one shell script.
    Script,
    /// Runs them as an argument vector, or a single one as a script.
    Vector,
    /// Deletes folders.
    DeleteTree,
    /// Deletes files.
    Delete,
    /// Runs text that only the run can tell.
    Eval,
    /// Sends data.
    Send,
    /// Opens a raw connection.
    Socket,
    /// Deletes something by its name alone.
    Destroy,
    /// Ends other processes.
    Kill,
    /// Replaces the content of a file.
    Write,
    /// Opens a file, perhaps to write it.
    Open,
}

/// What a call of this name does, in a one-liner of this program.
pub(super) fn call(name: &str, program: &str, code: &str) -> Option<Call> {
    let last = name.rsplit(['.', ':']).next().unwrap_or(name);
    let in_module = |module: &str| name.starts_with(module);
    Some(match last {
        "script" if name == last => Call::Script,
        "system" | "popen" | "getoutput" | "getstatusoutput" | "execSync" | "shell_exec"
        | "passthru" | "proc_open" | "spawnShell" | "shell" | "qx" | "capture2e" | "capture2"
        | "capture3" | "popen2e" | "doShellScript" => Call::Script,
        "exec"
            if in_module("child_process")
                || in_module("require")
                || in_module("cp.")
                || in_module("os.") =>
        {
            Call::Script
        }
        "run" | "call" | "check_call" | "check_output" | "Popen" if code.contains("subprocess") => {
            Call::Vector
        }
        "exec"
            if program.starts_with("perl") || program.starts_with("ruby") || program == "php" =>
        {
            Call::Script
        }
        "execute" if in_module("os.") => Call::Script,
        "open" if name == last => Call::Open,
        "writeFileSync" | "writeFile" | "appendFileSync" | "file_put_contents" => Call::Open,
        "write" if in_module("File.") || in_module("IO.") => Call::Open,
        "Popen" | "check_output" | "check_call" | "spawn" | "spawnSync" | "execFile"
        | "execFileSync" | "execvp" | "execv" | "execl" | "execlp" | "execve" | "spawnl"
        | "posix_spawn" | "$" => Call::Vector,
        "rmtree"
        | "rm_rf"
        | "rm_r"
        | "remove_tree"
        | "remove_entry_secure"
        | "removeSync"
        | "rimraf"
        | "rimrafSync"
        | "rmSync"
        | "rmdirSync"
        | "removedirs"
        | "deltree"
        | "emptyDirSync" => Call::DeleteTree,
        "rm" if in_module("fs") || in_module("Deno") => Call::DeleteTree,
        "remove" if in_module("os.") || in_module("Deno") || in_module("fs") => Call::Delete,
        "unlink" | "unlinkSync" | "rmdir" | "rm_f" => Call::Delete,
        "delete" if in_module("File.") || in_module("Dir.") => Call::Delete,
        "eval" | "exec" | "compile" | "assert" if name == last || in_module("builtins") => {
            Call::Eval
        }
        "instance_eval" | "class_eval" | "execfile" => Call::Eval,
        "delete_all" | "destroy_all" | "drop_all" | "truncate_all" => Call::Destroy,
        "post" | "put" | "urlopen" | "sendall" | "sendmail" | "fetch" | "upload_file" => Call::Send,
        _ if in_module("TCPSocket") || in_module("IO::Socket") => Call::Socket,
        "socket" | "create_connection" | "TCPSocket" | "createConnection" | "fsockopen" => {
            Call::Socket
        }
        "kill" | "killpg" if in_module("os.") || in_module("process") || in_module("Process") => {
            Call::Kill
        }
        "truncate" | "truncateSync" => Call::Write,
        _ if destroys_by_name(last) => Call::Destroy,
        _ => return None,
    })
}

/// `deleteIndex`, `clearObjects`, `drop_database`: names of interfaces of services.
fn destroys_by_name(name: &str) -> bool {
    ["delete", "destroy", "purge", "drop", "truncate", "wipe", "clear", "terminate", "revoke"]
        .iter()
        .any(|verb| {
            name.strip_prefix(verb).is_some_and(|rest| {
                let next = rest.trim_start_matches('_');
                rest.starts_with(|c: char| c == '_' || c.is_ascii_uppercase())
                    && [
                        "Ind", "Obj", "All", "Dat", "Tab", "Coll", "Buck", "Rec", "User", "Inst",
                        "Cust", "Serv", "Proj", "Que", "Top", "Clus", "Sub", "Many", "Ent", "Key",
                        "Acc", "Tok", "Doc", "Cach", "Stack", "Vol", "Snap", "Branch", "Repo",
                        "Org", "Syn", "Rul", "App", "Env", "Secret", "Zone", "Dom", "By",
                    ]
                    .iter()
                    .any(|noun| next.to_ascii_lowercase().starts_with(&noun.to_ascii_lowercase()))
            })
        })
}

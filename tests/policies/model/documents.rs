//! Policies, groups and lists in words of our own, made at random.

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;
use tower_access::identity::{Email, RiskLevel};
use tower_access::policy::{self as engine, Decision, Evaluator};

use super::choices::Choices;

/// A rule. Emails, networks, evaluators by their places in the pools, groups and lists in the set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    Everyone,
    Email(usize),
    EmailDomain(Text),
    EmailList(usize),
    Ip(usize),
    IpList(usize),
    Geo(Text),
    Group(usize),
    Certificate,
    CommonName(Text),
    ServiceToken(Text),
    AnyServiceToken,
    LinkedApplication(Text),
    LoginMethod(Text),
    AuthMethod(Text),
    AuthContext(Text, OfProvider),
    Azure(Text, OfProvider),
    Github(Text, Option<Text>, OfProvider),
    Gsuite(Text, OfProvider),
    Okta(Text, OfProvider),
    Saml(Text, Text, OfProvider),
    Oidc(Text, Text, OfProvider),
    Posture(Text),
    Evaluation(usize),
    Risk(&'static [RiskLevel]),
    Account(Option<Text>),
}

pub type Text = &'static str;
pub type OfProvider = Option<Text>;

#[derive(Clone, Debug, Default)]
pub struct Condition {
    pub include: Vec<Rule>,
    pub require: Vec<Rule>,
    pub exclude: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub decision: Decision,
    pub precedence: Option<u32>,
    pub condition: Condition,
}

#[derive(Clone, Debug)]
pub struct Group {
    class: Class,
    pub condition: Condition,
}

#[derive(Clone, Debug)]
pub enum List {
    Emails(Vec<usize>),
    Networks(Vec<usize>),
}

/// What a condition may ask for without being refused where it is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    /// Nothing about people, and no tokens of other applications: good everywhere.
    Anybody,
    /// Tokens of other applications as well: in `non_identity` policies alone.
    Linked,
    /// People: where there is a login.
    People,
}

#[derive(Clone, Debug)]
pub struct Set {
    pub policies: Vec<Policy>,
    pub groups: Vec<Group>,
    pub lists: Vec<List>,
    /// In which order groups and lists are written down.
    group_order: Vec<usize>,
    list_order: Vec<usize>,
    /// More groups with conditions than are simply looked at one after the other.
    pub has_many_groups: bool,
    /// Lists or groups so long that they are shared.
    pub has_long_lists: bool,
    /// Groups in groups in groups.
    pub is_deep: bool,
}

impl Set {
    pub fn random(choices: &mut Choices) -> Self {
        let has_many_groups = choices.chance(1, 8);
        let has_long_lists = choices.chance(1, 16);
        let is_deep = choices.chance(1, 16);
        let mut set = Self {
            policies: Vec::new(),
            groups: Vec::new(),
            lists: Vec::new(),
            group_order: Vec::new(),
            list_order: Vec::new(),
            has_many_groups,
            has_long_lists,
            is_deep,
        };
        for _ in 0..choices.below(4) {
            set.lists.push(list(choices, has_long_lists));
        }
        let groups = if is_deep { 6 + choices.below(4) } else { choices.below(5) };
        for _ in 0..groups {
            let class = choices.one_of(&[Class::Anybody, Class::People, Class::Linked]);
            let mut condition = set.condition(choices, class);
            if is_deep && let Some(last) = set.last_of(class) {
                condition.include.push(Rule::Group(last));
            }
            if has_long_lists && class == Class::People && choices.chance(1, 2) {
                let first = FEW_EMAILS + choices.below(20);
                condition.include = (first..first + 40).map(Rule::Email).collect();
            }
            set.groups.push(Group { class, condition });
        }
        let mut many = Vec::new();
        if has_many_groups {
            for _ in 0..9 + choices.below(6) {
                many.push(set.groups.len());
                let condition = set.plain_group(choices);
                set.groups.push(Group { class: Class::People, condition });
            }
        }
        for _ in 0..choices.one_of(&[1, 2, 3, 4, 5, 6, 0, 7]) {
            let policy = set.policy(choices);
            set.policies.push(policy);
        }
        if !many.is_empty() {
            let mut policy = set.policy(choices);
            policy.decision = choices.one_of(&[Decision::Allow, Decision::Deny]);
            policy.condition = set.condition(choices, Class::People);
            if choices.chance(2, 3) && set.policies.iter().all(|one| one.precedence != Some(0)) {
                policy.precedence = Some(0);
                policy.condition.include.clear();
            }
            let lists = &mut policy.condition;
            let list = match choices.below(4) {
                0 | 1 => &mut lists.include,
                2 => &mut lists.exclude,
                _ => &mut lists.require,
            };
            if choices.chance(1, 4) {
                // A group of groups.
                let mut condition = Condition::default();
                condition.include.extend(many.iter().copied().map(Rule::Group));
                list.push(Rule::Group(set.groups.len()));
                set.groups.push(Group { class: Class::People, condition });
            } else {
                list.extend(many.iter().copied().map(Rule::Group));
            }
            set.policies.push(policy);
        }
        set.group_order = (0..set.groups.len()).collect();
        set.list_order = (0..set.lists.len()).collect();
        choices.shuffle(&mut set.group_order);
        set
    }

    fn policy(&self, choices: &mut Choices) -> Policy {
        let decision = choices.one_of(&[
            Decision::Allow,
            Decision::Deny,
            Decision::NonIdentity,
            Decision::Bypass,
            Decision::Allow,
            Decision::Allow,
            Decision::Deny,
        ]);
        let class = match decision {
            Decision::Bypass => Class::Anybody,
            Decision::NonIdentity => Class::Linked,
            _ => Class::People,
        };
        // Written precedences are unique and may be equal to a place in the list.
        let number = u32::try_from(self.policies.len()).unwrap();
        let precedence = choices.chance(1, 3).then(|| {
            let wanted = [1, 2, 3, 4, 5, 100, 7, 0][choices.below(8)];
            let is_taken = |taken: u32| self.policies.iter().any(|p| p.precedence == Some(taken));
            if is_taken(wanted) { 200 - number } else { wanted }
        });
        Policy { decision, precedence, condition: self.condition(choices, class) }
    }

    fn condition(&self, choices: &mut Choices, class: Class) -> Condition {
        let mut rules = |most: &[usize]| {
            let count = choices.one_of(most);
            let mut rules: Vec<Rule> = (0..count).map(|_| self.rule(choices, class)).collect();
            if choices.chance(1, 12) {
                rules.extend_from_within(..);
            }
            rules
        };
        Condition {
            include: rules(&[1, 2, 0, 3, 2, 4, 1, 3, 5]),
            require: rules(&[0, 0, 0, 1, 0, 0, 0, 1, 2]),
            exclude: rules(&[0, 0, 0, 1, 0, 0, 0, 2, 1]),
        }
    }

    /// One that asks for emails, domains and networks alone, and has more than an `include`.
    fn plain_group(&self, choices: &mut Choices) -> Condition {
        let mut condition = Condition::default();
        for _ in 0..=choices.below(3) {
            condition.include.push(match choices.below(12) {
                0..=3 => Rule::Email(choices.below(EMAILS.len())),
                4 => Rule::EmailDomain(choices.one_of(&DOMAINS)),
                5..=8 => Rule::Ip(choices.below(NETWORKS.len())),
                9 => Rule::Email(choices.below(FEW_EMAILS)),
                10 => Rule::Ip(choices.below(FEW_NETWORKS)),
                _ => self.rule(choices, Class::People),
            });
        }
        let more = self.rule(choices, Class::People);
        if choices.chance(2, 3) {
            condition.exclude.push(more);
        } else {
            condition.require.push(more);
        }
        condition
    }

    fn last_of(&self, class: Class) -> Option<usize> {
        self.groups.iter().rposition(|group| class.may_use(group.class))
    }

    fn list_of(&self, choices: &mut Choices, is_kind: fn(&List) -> bool) -> Option<usize> {
        let places: Vec<usize> =
            (0..self.lists.len()).filter(|place| is_kind(&self.lists[*place])).collect();
        (!places.is_empty()).then(|| choices.one_of(&places))
    }

    fn rule(&self, choices: &mut Choices, class: Class) -> Rule {
        if class == Class::People && choices.chance(3, 5) {
            return self.rule_about_people(choices);
        }
        if class == Class::Linked && choices.chance(1, 5) {
            return Rule::LinkedApplication(choices.one_of(&APPLICATIONS));
        }
        match choices.weighted(&[2, 6, 4, 3, 5, 1, 2, 3, 2, 4]) {
            0 => Rule::Everyone,
            1 => Rule::Ip(choices.below(FEW_NETWORKS)),
            2 => self
                .list_of(choices, |list| matches!(list, List::Networks(_)))
                .map_or(Rule::Geo("FR"), Rule::IpList),
            3 => Rule::Geo(choices.one_of(&COUNTRIES)),
            4 => {
                let places: Vec<usize> = (0..self.groups.len())
                    .filter(|place| class.may_use(self.groups[*place].class))
                    .collect();
                if places.is_empty() {
                    Rule::Everyone
                } else {
                    Rule::Group(choices.one_of(&places))
                }
            }
            5 => Rule::Certificate,
            6 => Rule::CommonName(choices.one_of(&COMMON_NAMES)),
            7 => Rule::ServiceToken(choices.one_of(&TOKENS)),
            8 => Rule::AnyServiceToken,
            _ => Rule::Posture(choices.one_of(&CHECKS)),
        }
    }

    fn rule_about_people(&self, choices: &mut Choices) -> Rule {
        let group = |choices: &mut Choices| choices.one_of(&PROVIDER_GROUPS);
        let provider =
            |choices: &mut Choices| choices.chance(1, 2).then(|| choices.one_of(&PROVIDERS).0);
        match choices.weighted(&[6, 6, 4, 2, 2, 2, 2, 3, 2, 2, 3, 3, 3, 2, 2]) {
            0 => Rule::Email(choices.below(FEW_EMAILS)),
            1 => Rule::EmailDomain(choices.one_of(&DOMAINS)),
            2 => self
                .list_of(choices, |list| matches!(list, List::Emails(_)))
                .map_or(Rule::EmailDomain("x.example"), Rule::EmailList),
            3 => Rule::LoginMethod(choices.one_of(&PROVIDERS).0),
            4 => Rule::AuthMethod(choices.one_of(&METHODS)),
            5 => Rule::AuthContext(choices.one_of(&CONTEXTS), provider(choices)),
            6 => Rule::Azure(group(choices), provider(choices)),
            7 => Rule::Github(
                choices.one_of(&ORGANIZATIONS),
                choices.chance(1, 2).then(|| choices.one_of(&TEAMS)),
                provider(choices),
            ),
            8 => Rule::Gsuite(choices.one_of(&GROUP_EMAILS), provider(choices)),
            9 => Rule::Okta(group(choices), provider(choices)),
            10 => Rule::Saml(choices.one_of(&CLAIMS), choices.one_of(&VALUES), provider(choices)),
            11 => Rule::Oidc(choices.one_of(&CLAIMS), choices.one_of(&VALUES), provider(choices)),
            12 => Rule::Evaluation(choices.below(EVALUATORS.len())),
            13 => Rule::Risk(choices.one_of(&RISKS)),
            _ => Rule::Account(choices.chance(1, 2).then(|| choices.one_of(&ACCOUNTS))),
        }
    }

    /// All lists in another order.
    pub fn reordered(&self, choices: &mut Choices) -> Self {
        let mut other = self.clone();
        let policies = other.policies.iter_mut().map(|policy| &mut policy.condition);
        for condition in policies.chain(other.groups.iter_mut().map(|group| &mut group.condition)) {
            choices.shuffle(&mut condition.include);
            choices.shuffle(&mut condition.require);
            choices.shuffle(&mut condition.exclude);
        }
        for list in &mut other.lists {
            let (List::Emails(items) | List::Networks(items)) = list;
            choices.shuffle(items);
        }
        choices.shuffle(&mut other.group_order);
        choices.shuffle(&mut other.list_order);
        other
    }

    /// Other rules for one of the policies.
    pub fn with_other_rules(&self, place: usize, choices: &mut Choices) -> Self {
        let mut other = self.clone();
        let class = match self.policies[place].decision {
            Decision::Bypass => Class::Anybody,
            Decision::NonIdentity => Class::Linked,
            _ => Class::People,
        };
        other.policies[place].condition = self.condition(choices, class);
        other
    }

    /// What the engine gets.
    pub fn written(&self) -> (Vec<engine::Policy>, Vec<engine::Group>, Vec<engine::List>) {
        let policies = self.policies.iter().enumerate().map(|(place, policy)| {
            let mut written = engine::Policy::new(format!("Policy {place}"), policy.decision);
            written.id = Some(format!("p{place}").into());
            written.precedence = policy.precedence;
            written.conditions = rules(&policy.condition);
            written
        });
        let groups = self.group_order.iter().map(|place| {
            let mut written = engine::Group::new(format!("Group {place}"));
            written.id = Some(format!("g{place}").into());
            written.conditions = rules(&self.groups[*place].condition);
            written
        });
        let lists = self.list_order.iter().map(|place| {
            let name = format!("List {place}");
            let mut written = match &self.lists[*place] {
                List::Emails(emails) => {
                    engine::List::emails(name, emails.iter().map(|email| EMAILS[*email].clone()))
                }
                List::Networks(networks) => engine::List::networks(
                    name,
                    networks.iter().map(|network| NETWORKS[*network].written),
                ),
            };
            written.id = Some(format!("l{place}").into());
            written
        });
        (policies.collect(), groups.collect(), lists.collect())
    }
}

impl Class {
    fn may_use(self, group: Self) -> bool {
        group == Self::Anybody || group == self
    }
}

fn list(choices: &mut Choices, is_long: bool) -> List {
    let is_of_emails = choices.chance(1, 2);
    let (few, all) =
        if is_of_emails { (FEW_EMAILS, EMAILS.len()) } else { (FEW_NETWORKS, NETWORKS.len()) };
    let items = if is_long && choices.chance(3, 4) {
        let first = choices.below(20);
        (few + first..(few + first + 35 + choices.below(15)).min(all)).collect()
    } else {
        (0..choices.below(4)).map(|_| choices.below(few)).collect()
    };
    if is_of_emails { List::Emails(items) } else { List::Networks(items) }
}

fn rules(condition: &Condition) -> engine::Conditions {
    let [include, require, exclude] = [&condition.include, &condition.require, &condition.exclude]
        .map(|rules| rules.iter().map(|rule| rule.written()).collect());
    let mut conditions = engine::Conditions::default();
    conditions.include = include;
    conditions.require = require;
    conditions.exclude = exclude;
    conditions
}

/// Groups and lists go by the id or the name.
fn reference(what: &str, name: &str, place: usize) -> String {
    if place.is_multiple_of(2) { format!("{what}{place}") } else { format!("{name} {place}") }
}

impl Rule {
    pub fn written(self) -> engine::Rule {
        let boxed = |text: Text| -> Box<str> { text.into() };
        let of = |provider: OfProvider| provider.map(boxed);
        match self {
            Self::Everyone => engine::Rule::Everyone,
            Self::Email(place) => engine::Rule::Email(EMAILS[place].clone()),
            Self::EmailDomain(domain) => engine::Rule::email_domain(domain).unwrap(),
            Self::EmailList(place) => engine::Rule::email_list(reference("l", "List", place)),
            Self::Ip(place) => engine::Rule::Ip(NETWORKS[place].written),
            Self::IpList(place) => engine::Rule::ip_list(reference("l", "List", place)),
            Self::Geo(country) => engine::Rule::geo(country).unwrap(),
            Self::Group(place) => engine::Rule::group(reference("g", "Group", place)),
            Self::Certificate => engine::Rule::Certificate,
            Self::CommonName(name) => engine::Rule::common_name(name),
            Self::ServiceToken(id) => engine::Rule::service_token(id),
            Self::AnyServiceToken => engine::Rule::AnyValidServiceToken,
            Self::LinkedApplication(id) => engine::Rule::linked_app_token(id),
            Self::LoginMethod(id) => engine::Rule::login_method(id),
            Self::AuthMethod(method) => engine::Rule::auth_method(method),
            Self::AuthContext(context, provider) => {
                let mut value = engine::AuthContext::new(context);
                value.identity_provider_id = of(provider);
                engine::Rule::AuthContext(Box::new(value))
            }
            Self::Azure(id, provider) => {
                let mut value = engine::AzureGroup::new(id);
                value.identity_provider_id = of(provider);
                engine::Rule::AzureGroup(Box::new(value))
            }
            Self::Github(name, team, provider) => {
                let mut value = engine::GithubOrganization::new(name);
                value.team = team.map(boxed);
                value.identity_provider_id = of(provider);
                engine::Rule::GithubOrganization(Box::new(value))
            }
            Self::Gsuite(email, provider) => {
                let mut value = engine::GsuiteGroup::new(email);
                value.identity_provider_id = of(provider);
                engine::Rule::GsuiteGroup(Box::new(value))
            }
            Self::Okta(name, provider) => {
                let mut value = engine::OktaGroup::new(name);
                value.identity_provider_id = of(provider);
                engine::Rule::OktaGroup(Box::new(value))
            }
            Self::Saml(name, value, provider) => {
                let mut value = engine::SamlAttribute::new(name, value);
                value.identity_provider_id = of(provider);
                engine::Rule::Saml(Box::new(value))
            }
            Self::Oidc(name, value, provider) => {
                let mut value = engine::OidcClaim::new(name, value);
                value.identity_provider_id = of(provider);
                engine::Rule::Oidc(Box::new(value))
            }
            Self::Posture(check) => engine::Rule::device_posture(check),
            Self::Evaluation(place) => {
                engine::Rule::ExternalEvaluation(Box::new(EVALUATORS[place].clone()))
            }
            Self::Risk(levels) => engine::Rule::user_risk_score(levels).unwrap(),
            Self::Account(account) => engine::Rule::CloudflareAccountMember(account.map(boxed)),
        }
    }

    /// A number for each selector.
    pub fn selector(self) -> usize {
        let selector = self.written().selector();
        engine::Selector::ALL.iter().position(|known| *known == selector).unwrap()
    }
}

/// A network as the engine gets it, and as bits of IPv6.
#[derive(Debug)]
pub struct Network {
    written: IpNet,
    first: u128,
    length: u32,
}

impl Network {
    pub fn has(&self, address: IpAddr) -> bool {
        let bits = bits(address);
        self.length == 0 || (bits ^ self.first) >> (128 - self.length) == 0
    }
}

/// IPv4 as the IPv6 that stands for it.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first of these stand in rules and in facts.
pub const FEW_EMAILS: usize = 6;
pub const FEW_NETWORKS: usize = 8;

pub static EMAILS: LazyLock<Vec<Email>> = LazyLock::new(|| {
    let few = [
        "ada@x.example",
        "bob@x.example",
        "ada@y.example",
        "cy@z.example",
        "dee@sub.x.example",
        "eve@x.example.evil.example",
    ];
    let many = (0..80).map(|number| format!("p{number}@many.example"));
    few.into_iter().map(str::to_owned).chain(many).map(|email| email.parse().unwrap()).collect()
});

pub static NETWORKS: LazyLock<Vec<Network>> = LazyLock::new(|| {
    let few = [
        "192.0.2.0/24",
        "192.0.2.200/32",
        "2001:db8::/32",
        "198.51.100.0/24",
        "192.0.2.128/25",
        "2001:db8:7::/48",
        "0.0.0.0/0",
        "10.0.0.0/8",
    ];
    let many = (0..50).map(|number| format!("10.{number}.0.0/16"));
    let more = (0..20).map(|number| format!("2001:db8:{number:x}::/48"));
    few.into_iter()
        .map(str::to_owned)
        .chain(many)
        .chain(more)
        .map(|text| {
            let (address, length) = text.split_once('/').unwrap();
            let (address, length): (IpAddr, u32) =
                (address.parse().unwrap(), length.parse().unwrap());
            let length = if address.is_ipv4() { length + 96 } else { length };
            Network { written: text.parse().unwrap(), first: bits(address), length }
        })
        .collect()
});

pub static EVALUATORS: LazyLock<[Evaluator; 2]> = LazyLock::new(|| {
    ["one", "two"].map(|name| {
        let host = format!("https://{name}.example.com");
        Evaluator::new(&format!("{host}/evaluate"), &format!("{host}/keys")).unwrap()
    })
});

pub const DOMAINS: [Text; 5] =
    ["x.example", "y.example", "z.example", "many.example", "sub.x.example"];
pub const COUNTRIES: [Text; 3] = ["FR", "DE", "PT"];
pub const COMMON_NAMES: [Text; 2] = ["laptop-1", "laptop-2"];
pub const TOKENS: [Text; 3] = ["t1", "t2", "t2.access"];
pub const APPLICATIONS: [Text; 2] = ["app-1", "app-2"];
/// Login methods and their types.
pub const PROVIDERS: [(Text, Text); 4] =
    [("i1", "oidc"), ("i2", "saml"), ("i3", "cloudflare"), ("i4", "onetimepin")];
pub const METHODS: [Text; 3] = ["mfa", "otp", "hwk"];
pub const CONTEXTS: [Text; 2] = ["c1", "c2"];
pub const PROVIDER_GROUPS: [Text; 3] = ["ops", "dev", "Ops"];
pub const GROUP_EMAILS: [Text; 3] = ["ops@g.example", "Ops@G.example", "dev@g.example"];
pub const ORGANIZATIONS: [Text; 3] = ["acme", "ACME", "other"];
pub const TEAMS: [Text; 3] = ["ops", "OPS", "dev"];
pub const CLAIMS: [Text; 4] = ["groups", "Groups", "department", "Department"];
pub const VALUES: [Text; 3] = ["ops", "dev", "Ops"];
pub const CHECKS: [Text; 3] = ["disk", "firewall", "gateway"];
pub const ACCOUNTS: [Text; 2] = ["acc-1", "acc-2"];
pub const RISKS: [&[RiskLevel]; 4] = [
    &[RiskLevel::Low],
    &[RiskLevel::Low, RiskLevel::Medium],
    &[RiskLevel::High, RiskLevel::Unscored],
    &[RiskLevel::Low, RiskLevel::Medium, RiskLevel::High, RiskLevel::Unscored],
];

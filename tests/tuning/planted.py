"""Rows with personal data planted in them, and rows that look like it: 500 texts, written for these tests, drawn by a seed."""

import random
import string

FIRST = [
    "Ana",
    "Ben",
    "Chloe",
    "Dmitri",
    "Elif",
    "Farah",
    "Giulia",
    "Hugo",
    "Ines",
    "Jamal",
    "Kim",
    "Lars",
    "Mina",
    "Noor",
    "Olga",
    "Pablo",
    "Quinn",
    "Rosa",
    "Sven",
    "Tara",
]
LAST = ["Lopez", "Smith", "Nguyen", "Kaya", "Rossi", "Muller", "Okafor", "Silva", "Novak", "Haddad", "Jensen", "Park"]
HOSTS = [
    "example.com",
    "mail.example.org",
    "posta.example.it",
    "uni-muenchen.example.de",
    "correo.example.es",
    "firm.co.uk",
]

WITH = {
    "email": ["You can write to {} any time.", "my mail is {}, thanks", "From: {}\nSubject: hello", "Bitte an {} antworten.",
              "Contact ({}) for refunds", "Mi correo es {}."],
    "phone": ["Call me at {}.", "Phone: {}", "my number is {} after six", "Tel. {}", "You reach us on {}, ask for Tom.",
              "Mi teléfono es {}", "text me {}"],
    "card": ["I paid with {} last week.", "card number {}, expires soon", "Please charge {} again", "Visa {} was declined"],
    "iban": ["Send it to {}.", "IBAN: {}", "my account is {} at the bank", "Bitte auf {} überweisen."],
    "key": ["the token is {}", "export KEY={}", "I pasted {} into the chat by mistake", "config: {}"],
}  # fmt: skip

WITHOUT = [
    "Order {n8} has not arrived.", "Invoice no. {n10} of {date} is wrong.", "It cost {money}.", "Version {v} crashed at {time}.",
    "The meeting is on {date} at {time}.", "Room {n3}, floor {n1}.", "Tracking code 1Z{n3}AA{n10} says delivered.",
    "ISBN 978-3-16-148410-{n1} is out.", "There were {n5} people, about {n2} % more than in {year}.",
    "Between {year} and {year} sales rose by {n3},{n3} units.", "Serial {n4}-{n4}-{n4}-X it says.", "IP 192.168.{n1}.{n2} is down.",
    "My cat weighs {n1}.{n2} kg.", "Follow @helper{n2} for news.", "Reference REF-{n6} was closed.", "score {n1}-{n1}",
    "Flight LH {n4} leaves at {time}.", "article number {n13}", "customer no. {n7}", "The file has {n9} bytes.",
    "Open since {year}, {n5} stars", "my password does not work any more", "the token expired yesterday", "I lost my key",
    "row {n6} of {n7}", "coordinates {n2}.{n6}, {n2}.{n6}", "case {n2}/{n4} of the court", "{n3} {n3} pieces", "{date} {time}",
    "GTIN 0{n13}", "model AB{n6}C", "the e-mail never came",
]  # fmt: skip


def digits(rng: random.Random, count: int) -> str:
    return rng.choice("123456789") + "".join(rng.choices(string.digits, k=count - 1))


def luhn(rng: random.Random) -> str:
    start, length = rng.choice([("4", 16), ("51", 16), ("2223", 16), ("37", 15), ("6011", 16)])
    body = start + "".join(rng.choices(string.digits, k=length - 1 - len(start)))
    total = sum(int(d) if at % 2 else sum(divmod(2 * int(d), 10)) for at, d in enumerate(reversed(body)))
    number = body + str(-total % 10)
    gap = rng.choice(["", " ", "-"])
    return gap.join(number[at : at + 4] for at in range(0, len(number), 4)) if length == 16 else number


def iban(rng: random.Random) -> str:
    country, length = rng.choice([("DE", 18), ("ES", 20), ("FR", 23), ("NL", 0), ("AT", 16)])
    if country == "NL":
        body = "INGB" + "".join(rng.choices(string.digits, k=10))
    elif country == "ES":  # the bank's own two check digits count as well
        bank, account = "".join(rng.choices(string.digits, k=8)), "".join(rng.choices(string.digits, k=10))
        body = bank + spanish(f"00{bank}") + spanish(account) + account
    elif country == "FR":
        bank, account = "".join(rng.choices(string.digits, k=10)), "".join(rng.choices(string.digits, k=11))
        body = bank + account + f"{97 - (89 * int(bank[:5]) + 15 * int(bank[5:]) + 3 * int(account)) % 97:02d}"
    else:
        body = "".join(rng.choices(string.digits, k=length))
    number = "".join(str(int(c, 36)) for c in body + country)
    found = f"{country}{98 - int(number + '00') % 97:02d}{body}"
    return " ".join(found[at : at + 4] for at in range(0, len(found), 4)) if rng.random() < 0.6 else found


def spanish(text: str) -> str:
    rest = 11 - sum(int(d) * w for d, w in zip(text, (1, 2, 4, 8, 5, 10, 9, 7, 3, 6), strict=True)) % 11
    return {10: "1", 11: "0"}.get(rest, str(rest))


def phone(rng: random.Random) -> str:
    d = lambda n: digits(rng, n)  # noqa: E731
    return rng.choice([
        f"+1 {rng.choice(['415', '212', '503'])} {d(3)} {d(4)}", f"({rng.choice(['415', '212'])}) {d(3)}-{d(4)}",
        f"415-{d(3)}-{d(4)}",
        f"+49 171 {d(7)}", f"0171 {d(7)}", f"+34 612 {d(3)} {d(3)}", "+44 20 7946 0" + d(3), "020 7946 0" + d(3),
        f"+33 6 {d(2)} {d(2)} {d(2)} {d(2)}",
    ])  # fmt: skip


def key(rng: random.Random) -> str:
    letters = lambda n: "".join(rng.choices(string.ascii_letters + string.digits, k=n))  # noqa: E731
    return rng.choice([
        "sk-" + letters(40), "hf_" + "".join(rng.choices(string.ascii_letters, k=34)), "ghp_" + letters(36),
        "AKIA" + "".join(rng.choices(string.ascii_uppercase + string.digits, k=16)), "AIza" + letters(35), "xoxb-" + letters(24),
        "password: " + letters(6) + "7!", "api_key = " + letters(20) + "3", f"eyJ{letters(20)}.eyJ{letters(30)}.{letters(20)}",
    ])  # fmt: skip


def email(rng: random.Random) -> str:
    first, last = rng.choice(FIRST).lower(), rng.choice(LAST).lower()
    return f"{rng.choice([f'{first}.{last}', f'{first}{digits(rng, 2)}', f'{last}_{first}', f'{first}+shop'])}@{rng.choice(HOSTS)}"


MAKERS = {"email": email, "phone": phone, "card": luhn, "iban": iban, "key": key}


def harmless(rng: random.Random) -> str:
    values = {f"n{n}": digits(rng, n) for n in range(1, 14)}
    values |= {"year": str(rng.randint(1990, 2026)), "v": f"{rng.randint(1, 20)}.{rng.randint(0, 99)}.{rng.randint(0, 9)}",
               "time": f"{rng.randint(0, 23)}:{rng.randint(10, 59)}", "money": f"{rng.randint(1, 9)},{digits(rng, 3)}.00 EUR",
               "date": rng.choice(["2026-03-14", "14.03.2026", "3/14/2026", "14 March 2026"])}  # fmt: skip
    return rng.choice(WITHOUT).format(**values)


def rows(seed: int = 0) -> list[tuple[str, set[str]]]:
    """(text, the kinds planted in it): 50 of each kind, 50 with two kinds, 200 with none."""
    rng = random.Random(seed)
    made: list[tuple[str, set[str]]] = []
    for kind in MAKERS:
        made += [(rng.choice(WITH[kind]).format(MAKERS[kind](rng)), {kind}) for _ in range(50)]
    for _ in range(50):
        one, other = rng.sample(list(MAKERS), 2)
        text = " ".join(rng.choice(WITH[kind]).format(MAKERS[kind](rng)) for kind in (one, other))
        made.append((text, {one, other}))
    made += [(harmless(rng), set()) for _ in range(200)]
    return made

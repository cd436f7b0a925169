"""The words of the grammar in English and French, with their irregular forms."""

import dataclasses

__all__ = [
    "ADJECTIVES",
    "ADVERBS",
    "INTRANSITIVE",
    "NOUNS",
    "NUMBERS",
    "PREPOSITIONS",
    "TO_VERBS",
    "TRANSITIVE",
    "Adjective",
    "Noun",
    "Verb",
    "count_lemmas",
    "starts_with_vowel",
]

# The words that begin with a mute h; the lexicon has no others.
_MUTE_H = ("homme", "histoire", "huile", "hôtel", "hôpital", "herbe", "heure", "heureu", "honnête")
_VOWELS = tuple("aeiouyàâéèêëîïôöûœ")


def starts_with_vowel(word: str) -> bool:
    """Return whether a French word makes the word before it elide.

    Example:
        >>> starts_with_vowel("herbe"), starts_with_vowel("livre")
        (True, False)
    """
    return word.startswith((*_VOWELS, *_MUTE_H))


@dataclasses.dataclass(frozen=True)
class Noun:
    """A noun, with its English forms, its French forms and its gender."""

    english: tuple[str, str]
    french: tuple[str, str]
    gender: str
    is_person: bool


@dataclasses.dataclass(frozen=True)
class Adjective:
    """An adjective, with its French forms by gender and number, and its place by the noun."""

    english: str
    masculine: tuple[str, str]
    feminine: tuple[str, str]
    before: bool
    liaison: str
    """The masculine singular before a vowel."""


@dataclasses.dataclass(frozen=True)
class Verb:
    """A verb, with its English forms and its French forms by person."""

    english: tuple[str, str, str]
    """The base form, the third person and the past."""

    present: tuple[str, ...]
    """The forms for I, he, we, you and they."""

    future: str
    """The stem of the future."""

    participle: str
    preposition: tuple[str, str] = ("", "")
    """The English and the French preposition before its object."""


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "z")):
        return word
    if word.endswith(("eau", "eu")):
        return word + "x"
    return word[:-2] + "aux" if word.endswith("al") else word + "s"


def _english_s(word: str) -> str:
    if word.endswith(("s", "sh", "ch", "x")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _past(word: str) -> str:
    if word.endswith("e"):
        return word + "d"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ied"
    return word + "ed"


def _two(text: str, rule) -> tuple[str, str]:
    first, _, second = text.partition("/")
    return first, second or rule(first)


def _nouns(table: str, gender: str, *, is_person: bool = False) -> list[Noun]:
    entries = (entry.split(":") for entry in table.split())
    return [
        Noun(_two(english, _english_s), _two(french, _plural), gender, is_person)
        for english, french in entries
    ]


def _adjectives(table: str, *, before: bool) -> list[Adjective]:
    adjectives = []
    for entry in table.split():
        english, masculine, feminine, liaison = [*entry.split(":"), ""][:4]
        pair = _two(masculine, _plural)
        adjectives.append(
            Adjective(english, pair, (feminine, feminine + "s"), before, liaison or pair[0])
        )
    return adjectives


def _regular(table: str, preposition: tuple[str, str] = ("", "")) -> list[Verb]:
    """Read regular verbs in -er, each written as `base[/past]:infinitive`."""
    verbs = []
    for entry in table.split():
        english, infinitive = entry.split(":")
        base, past = _two(english, _past)
        stem = infinitive[:-2]
        present = tuple(stem + ending for ending in ("e", "e", "ons", "ez", "ent"))
        forms = (base, _english_s(base), past)
        verbs.append(Verb(forms, present, infinitive, stem + "é", preposition))
    return verbs


def _irregular(table: str, preposition: tuple[str, str] = ("", "")) -> list[Verb]:
    """Read other verbs.

    A line holds `base[/past]`, five forms of the present, the future's stem and the participle.
    """
    verbs = []
    for line in table.strip().splitlines():
        english, *present, future, participle = line.split()
        base, past = _two(english, _past)
        forms = (base, _english_s(base), past)
        verbs.append(Verb(forms, tuple(present), future, participle, preposition))
    return verbs


NOUNS = [
    *_nouns(
        "man/men:homme boy:garçon father:père brother:frère son:fils uncle:oncle king:roi "
        "doctor:médecin neighbour:voisin friend:ami cousin:cousin soldier:soldat farmer:fermier "
        "baker:boulanger butcher:boucher teacher:professeur student:étudiant child/children:enfant "
        "lawyer:avocat writer:écrivain painter:peintre pilot:pilote singer:chanteur "
        "dancer:danseur husband:mari prince:prince judge:juge thief/thieves:voleur",
        "m",
        is_person=True,
    ),
    *_nouns(
        "woman/women:femme girl:fille mother:mère sister:sœur aunt:tante queen:reine "
        "nurse:infirmière princess:princesse bride:mariée actress:actrice witch:sorcière "
        "lioness:lionne lady:dame",
        "f",
        is_person=True,
    ),
    *_nouns(
        "cat:chat dog:chien horse:cheval/chevaux bird:oiseau/oiseaux fish/fishes:poisson "
        "rabbit:lapin wolf/wolves:loup bear:ours donkey:âne elephant:éléphant tiger:tigre "
        "lion:lion pig:cochon duck:canard monkey:singe animal:animal/animaux book:livre "
        "garden:jardin tree:arbre bread:pain cheese:fromage train:train bus:bus plane:avion "
        "boat:bateau/bateaux park:parc castle:château/châteaux hotel:hôtel "
        "hospital:hôpital/hôpitaux office:bureau/bureaux pen:stylo pencil:crayon phone:téléphone "
        "computer:ordinateur desk:pupitre newspaper:journal/journaux film:film "
        "knife/knives:couteau/couteaux glass:verre plate:plat cake:gâteau/gâteaux fruit:fruit "
        "mushroom:champignon hat:chapeau/chapeaux coat:manteau/manteaux jersey:maillot "
        "suit:costume bag:sac present:cadeau/cadeaux toy:jouet ball:ballon road:chemin "
        "river:fleuve bridge:pont forest:bois path:sentier village:village field:champ "
        "cap:bonnet wall:mur roof:toit bed:lit mirror:miroir cupboard:placard armchair:fauteuil",
        "m",
    ),
    *_nouns(
        "house:maison table:table flower:fleur car:voiture chair:chaise door:porte window:fenêtre "
        "kitchen:cuisine bedroom:chambre school:école church:église town:ville street:rue "
        "beach:plage island:île mountain:montagne apple:pomme orange:orange pear:poire "
        "strawberry:fraise cherry:cerise carrot:carotte tomato/tomatoes:tomate "
        "potato/potatoes:patate "
        "salad:salade soup:soupe bottle:bouteille cup:tasse fork:fourchette spoon:cuillère "
        "lamp:lampe key:clé/clés letter:lettre story:histoire song:chanson picture:image "
        "photo:photo question:question answer:réponse idea:idée ring:bague "
        "skirt:jupe shoe:chaussure jacket:veste hand:main head:tête mouth:bouche cow:vache "
        "hen:poule mouse/mice:souris bee:abeille spider:araignée tortoise:tortue goat:chèvre "
        "shell:coquille star:étoile mist:brume stone:pierre leaf/leaves:feuille "
        "wheel:roue machine:machine factory:usine library:bibliothèque",
        "f",
    ),
]

ADJECTIVES = [
    *_adjectives(
        "small:petit:petite big:grand:grande young:jeune:jeune pretty:joli:jolie fat:gros:grosse "
        "good:bon:bonne bad:mauvais:mauvaise old:vieux:vieille:vieil beautiful:beau:belle:bel "
        "new:nouveau:nouvelle:nouvel long:long:longue",
        before=True,
    ),
    *_adjectives(
        "green:vert:verte blue:bleu/bleus:bleue black:noir:noire white:blanc:blanche "
        "red:rouge:rouge "
        "yellow:jaune:jaune grey:gris:grise brown:brun:brune pink:rose:rose violet:violet:violette "
        "heavy:lourd:lourde light:léger:légère warm:chaud:chaude cold:froid:froide dry:sec:sèche "
        "wet:mouillé:mouillée open:ouvert:ouverte closed:fermé:fermée clean:propre:propre "
        "dirty:sale:sale rich:riche:riche poor:pauvre:pauvre strong:fort:forte weak:faible:faible "
        "slow:lent:lente fast:rapide:rapide strange:étrange:étrange happy:heureux:heureuse "
        "jealous:jaloux:jalouse sad:triste:triste tired:fatigué:fatiguée sick:malade:malade "
        "intelligent:intelligent:intelligente stupid:stupide:stupide polite:poli:polie "
        "honest:honnête:honnête famous:célèbre:célèbre modern:moderne:moderne round:rond:ronde "
        "square:carré:carrée empty:vide:vide full:plein:pleine expensive:cher:chère "
        "useful:utile:utile dangerous:dangereux:dangereuse quiet:calme:calme "
        "noisy:bruyant:bruyante "
        "soft:doux:douce hard:dur:dure dark:sombre:sombre clear:clair:claire sweet:sucré:sucrée "
        "salty:salé:salée magic:magique:magique lost:perdu:perdue curious:curieux:curieuse",
        before=False,
    ),
]

TRANSITIVE = [
    *_regular(
        "love:aimer help:aider carry:porter draw/drew:dessiner give/gave:donner study:étudier "
        "find/found:trouver close:fermer win/won:gagner keep/kept:garder taste:goûter "
        "hide/hid:cacher prepare:préparer show:montrer watch:regarder repair:réparer "
        "touch:toucher wash:laver visit:visiter count:compter break/broke:casser burn:brûler "
        "borrow:emprunter steal/stole:voler pull:tirer push:pousser meet/met:rencontrer "
        "leave/left:quitter accept:accepter adore:adorer hate:détester admire:admirer avoid:éviter "
        "copy:copier cross:traverser explain:expliquer imagine:imaginer invite:inviter "
        "measure:mesurer observe:observer organize:organiser photograph:photographier "
        "refuse:refuser respect:respecter save:sauver surround:entourer use:utiliser "
        "decorate:décorer examine:examiner"
    ),
    *_irregular(
        """
see/saw vois voit voyons voyez voient verr vu
take/took prends prend prenons prenez prennent prendr pris
know/knew connais connaît connaissons connaissez connaissent connaîtr connu
make/made fais fait faisons faites font fer fait
want veux veut voulons voulez veulent voudr voulu
write/wrote écris écrit écrivons écrivez écrivent écrir écrit
describe décris décrit décrivons décrivez décrivent décrir décrit
sell/sold vends vend vendons vendez vendent vendr vendu
lose/lost perds perd perdons perdez perdent perdr perdu
open ouvre ouvre ouvrons ouvrez ouvrent ouvrir ouvert
cover couvre couvre couvrons couvrez couvrent couvrir couvert
hear/heard entends entend entendons entendez entendent entendr entendu
receive reçois reçoit recevons recevez reçoivent recevr reçu
choose/chose choisis choisit choisissons choisissez choisissent choisir choisi
fill remplis remplit remplissons remplissez remplissent remplir rempli
follow suis suit suivons suivez suivent suivr suivi
understand/understood comprends comprend comprenons comprenez comprennent comprendr compris
build/built construis construit construisons construisez construisent construir construit
eat/ate mange mange mangeons mangez mangent manger mangé
buy/bought achète achète achetons achetez achètent achèter acheté
call appelle appelle appelons appelez appellent appeller appelé
"""
    ),
]

INTRANSITIVE = [
    *_regular(
        "work:travailler dance:danser cry:pleurer cough:tousser walk:marcher jump:sauter "
        "play:jouer tremble:trembler shine/shone:briller hesitate:hésiter shout:crier "
        "breathe:respirer sing/sang:chanter"
    ),
    *_irregular(
        """
sleep/slept dors dort dormons dormez dorment dormir dormi
run/ran cours court courons courez courent courr couru
laugh ris rit rions riez rient rir ri
disappear disparais disparaît disparaissons disparaissez disparaissent disparaîtr disparu
travel/travelled voyage voyage voyageons voyagez voyagent voyager voyagé
swim/swam nage nage nageons nagez nagent nager nagé
"""
    ),
]

TO_VERBS = [
    *_regular("speak/spoke:parler", ("to", "à")),
    *_regular("think/thought:penser", ("of", "à")),
    *_regular("dream:rêver", ("of", "de")),
    *_regular("talk:parler", ("about", "de")),
    *_irregular("smile souris sourit sourions souriez sourient sourir souri", ("at", "à")),
]
"""Verbs whose object needs a preposition."""

ADVERBS = {
    "often": "souvent",
    "always": "toujours",
    "sometimes": "parfois",
    "also": "aussi",
    "quickly": "vite",
    "rarely": "rarement",
}

NUMBERS = {
    "two": "deux",
    "three": "trois",
    "four": "quatre",
    "five": "cinq",
    "six": "six",
    "seven": "sept",
    "nine": "neuf",
    "ten": "dix",
}

PREPOSITIONS = {
    ("in",): ("dans",),
    ("on",): ("sur",),
    ("under",): ("sous",),
    ("behind",): ("derrière",),
    ("with",): ("avec",),
    ("without",): ("sans",),
    ("for",): ("pour",),
    ("in", "front", "of"): ("devant",),
    ("near",): ("près", "de"),
    ("far", "from"): ("loin", "de"),
    ("towards",): ("vers",),
}


def count_lemmas() -> int:
    """Count the words of the lexicon, each once whatever its forms."""
    verbs = [*TRANSITIVE, *INTRANSITIVE, *TO_VERBS]
    others = [ADJECTIVES, ADVERBS, NUMBERS, PREPOSITIONS]
    return len(NOUNS) + len({verb.english[0] for verb in verbs}) + sum(map(len, others))

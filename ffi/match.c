/*
 * match.c: whether a path matches HEAPTAP_ONLY, a regular expression: what programs are recorded.
 *
 * Literals, `.`, classes, \d \w \s and their opposites, groups, alternatives, `*`, `+`, `?` (lazy too,
 * which is the same here), `^` and `$`: what a path wants, with the meaning of the driver's own expressions
 * (src/native/variables.ts refuses the rest before anything starts). The expression becomes a small program;
 * all its states are followed at once, so that no expression takes long, and none needs the stack. By bytes.
 *
 * Used once, by the one thread that starts recording.
 */
#include "heaptap.h"

#define HT_MATCH_STATES 512u
#define HT_MATCH_CLASSES 32u
#define HT_MATCH_NESTED 16u

enum ht_match_kind { HT_MATCH_BYTE, HT_MATCH_CLASS, HT_MATCH_SPLIT, HT_MATCH_JUMP, HT_MATCH_START, HT_MATCH_END, HT_MATCH_DONE };

struct ht_match_state {
    uint16_t kind, value; /* a byte, or the number of a class */
    int16_t to, other;    /* where a jump and a split go, from here */
};

struct ht_match {
    const char *at; /* the rest of the expression */
    uint32_t states, classes, nested, wrong;
    struct ht_match_state state[HT_MATCH_STATES];
    uint8_t class[HT_MATCH_CLASSES][32];
};

/* Puts a state at `where`, in front of what stands there: jumps in that part go as far as before. */
static void ht_match_put(struct ht_match *m, uint32_t where, struct ht_match_state state)
{
    if (m->states >= HT_MATCH_STATES) {
        m->wrong = 1;
        return;
    }
    for (uint32_t i = m->states++; i > where; i--)
        m->state[i] = m->state[i - 1];
    m->state[where] = state;
}

static void ht_match_add(struct ht_match *m, enum ht_match_kind kind, uint32_t value)
{
    ht_match_put(m, m->states, (struct ht_match_state){ .kind = (uint16_t)kind, .value = (uint16_t)value });
}

static int ht_class_letter(char letter, uint32_t c)
{
    int digit = c >= '0' && c <= '9', small = (c | 32) >= 'a' && (c | 32) <= 'z' && c < 128;
    switch (letter | 32) {
    case 'd': return digit;
    case 'w': return digit || small || c == '_';
    default: return c == ' ' || (c >= 9 && c <= 13); /* s */
    }
}

static int ht_is_class_letter(char c) { return (c | 32) == 'd' || (c | 32) == 'w' || (c | 32) == 's'; }

static void ht_class_set(uint8_t class[32], uint32_t c) { class[c / 8] |= (uint8_t)(1u << c % 8); }

static void ht_class_add_letter(uint8_t class[32], char letter)
{
    for (uint32_t c = 0; c < 256; c++)
        if (ht_class_letter(letter, c) == !!(letter & 32))
            ht_class_set(class, c);
}

/* A new class in the program. */
static uint8_t *ht_match_class(struct ht_match *m)
{
    if (m->classes >= HT_MATCH_CLASSES) {
        m->wrong = 1;
        return m->class[0];
    }
    ht_match_add(m, HT_MATCH_CLASS, m->classes);
    return m->class[m->classes++];
}

/* Behind `[`. */
static void ht_match_brackets(struct ht_match *m)
{
    uint8_t *class = ht_match_class(m);
    int inverted = *m->at == '^';
    if (inverted)
        m->at++;
    while (*m->at && *m->at != ']') {
        int escaped = *m->at == '\\';
        if (escaped && !*++m->at)
            break;
        uint8_t from = (uint8_t)*m->at++;
        if (escaped && ht_is_class_letter((char)from)) {
            ht_class_add_letter(class, (char)from);
            continue;
        }
        uint8_t to = from;
        if (m->at[0] == '-' && m->at[1] && m->at[1] != ']') {
            m->at++;
            if (*m->at == '\\' && m->at[1])
                m->at++;
            to = (uint8_t)*m->at++;
        }
        for (uint32_t c = from; c <= to; c++)
            ht_class_set(class, c);
    }
    if (*m->at)
        m->at++;
    else
        m->wrong = 1;
    for (uint32_t i = 0; inverted && i < 32; i++)
        class[i] = (uint8_t)~class[i];
}

static void ht_match_alternatives(struct ht_match *m);

/* One thing that may be repeated. */
static void ht_match_atom(struct ht_match *m)
{
    char c = *m->at++;
    switch (c) {
    case '^': ht_match_add(m, HT_MATCH_START, 0); return;
    case '$': ht_match_add(m, HT_MATCH_END, 0); return;
    case '[': ht_match_brackets(m); return;
    case '.': {
        uint8_t *class = ht_match_class(m);
        for (uint32_t i = 0; i < 256; i++)
            if (i != '\n' && i != '\r')
                ht_class_set(class, i);
        return;
    }
    case '(':
        if (m->at[0] == '?' && m->at[1] == ':')
            m->at += 2;
        if (++m->nested > HT_MATCH_NESTED)
            m->wrong = 1;
        if (!m->wrong)
            ht_match_alternatives(m);
        m->nested--;
        if (*m->at == ')')
            m->at++;
        else
            m->wrong = 1;
        return;
    case '\\':
        c = *m->at;
        if (!c) {
            m->wrong = 1;
            return;
        }
        m->at++;
        if (ht_is_class_letter(c)) {
            ht_class_add_letter(ht_match_class(m), c);
            return;
        }
        break;
    case '*':
    case '+':
    case '?':
        m->wrong = 1;
    }
    ht_match_add(m, HT_MATCH_BYTE, (uint8_t)c);
}

static void ht_match_sequence(struct ht_match *m)
{
    while (*m->at && *m->at != '|' && *m->at != ')' && !m->wrong) {
        uint32_t start = m->states;
        ht_match_atom(m);
        int16_t length = (int16_t)(m->states - start);
        char repeat = *m->at;
        if (repeat != '*' && repeat != '+' && repeat != '?')
            continue;
        m->at += m->at[1] == '?' ? 2 : 1;
        if (repeat == '+')
            ht_match_put(m, m->states, (struct ht_match_state){ HT_MATCH_SPLIT, 0, (int16_t)-length, 1 });
        else
            ht_match_put(m, start, (struct ht_match_state){ HT_MATCH_SPLIT, 0, 1, (int16_t)(length + 1 + (repeat == '*')) });
        if (repeat == '*')
            ht_match_put(m, m->states, (struct ht_match_state){ HT_MATCH_JUMP, 0, (int16_t)(-length - 1), 0 });
    }
}

static void ht_match_alternatives(struct ht_match *m)
{
    uint32_t start = m->states;
    ht_match_sequence(m);
    while (*m->at == '|' && !m->wrong) {
        m->at++;
        /* What stands there or, behind a jump over this one, the next. */
        ht_match_put(m, start, (struct ht_match_state){ HT_MATCH_SPLIT, 0, 1, (int16_t)(m->states - start + 2) });
        uint32_t jump = m->states;
        ht_match_add(m, HT_MATCH_JUMP, 0);
        ht_match_sequence(m);
        if (!m->wrong)
            m->state[jump].to = (int16_t)(m->states - jump);
    }
}

/* Makes an expression's program; 0 when it is none. */
static int ht_match_compile(struct ht_match *m, const char *expression)
{
    *m = (struct ht_match){ .at = expression };
    ht_match_alternatives(m);
    ht_match_add(m, HT_MATCH_DONE, 0);
    return !m->wrong && !*m->at;
}

#define HT_MATCH_WORDS (HT_MATCH_STATES / 64)

/* Adds a state and what it leads to without a byte. */
static void ht_match_reach(const struct ht_match *m, uint64_t set[HT_MATCH_WORDS], uint32_t state, int at_start, int at_end)
{
    uint16_t waiting[HT_MATCH_STATES];
    uint32_t count = 0;
    for (;;) {
        if (!(set[state / 64] >> state % 64 & 1)) {
            set[state / 64] |= 1ull << state % 64;
            const struct ht_match_state *s = &m->state[state];
            int32_t next[2] = { -1, -1 };
            if (s->kind == HT_MATCH_SPLIT || s->kind == HT_MATCH_JUMP)
                next[0] = (int32_t)state + s->to;
            if (s->kind == HT_MATCH_SPLIT)
                next[1] = (int32_t)state + s->other;
            if ((s->kind == HT_MATCH_START && at_start) || (s->kind == HT_MATCH_END && at_end))
                next[0] = (int32_t)state + 1;
            for (uint32_t i = 0; i < 2; i++)
                if (next[i] >= 0 && count < HT_MATCH_STATES)
                    waiting[count++] = (uint16_t)next[i];
        }
        if (!count)
            return;
        state = waiting[--count];
    }
}

/* Whether a part of the text matches. */
static int ht_match_run(const struct ht_match *m, const char *text)
{
    uint64_t now[HT_MATCH_WORDS] = { 0 };
    for (size_t i = 0;; i++) {
        uint64_t then[HT_MATCH_WORDS] = { 0 };
        uint8_t c = (uint8_t)text[i];
        ht_match_reach(m, now, 0, i == 0, !c);
        for (uint32_t s = 0; s < m->states; s++) {
            if (!(now[s / 64] >> s % 64 & 1))
                continue;
            const struct ht_match_state *state = &m->state[s];
            if (state->kind == HT_MATCH_DONE)
                return 1;
            if (c && ((state->kind == HT_MATCH_BYTE && state->value == c)
                      || (state->kind == HT_MATCH_CLASS && m->class[state->value][c / 8] >> c % 8 & 1)))
                ht_match_reach(m, then, s + 1, 0, !text[i + 1]);
        }
        if (!c)
            return 0;
        for (uint32_t w = 0; w < HT_MATCH_WORDS; w++)
            now[w] = then[w];
    }
}

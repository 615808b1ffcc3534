/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/label-matcher.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/pattern.h"

typedef enum Match {
        MATCH_NOT_EQUAL,
        MATCH_REGEX,
        MATCH_NOT_REGEX,
        MATCH_EQUAL,
        _MATCH_MAX,
} Match;

/* Two-letter ones first: "=~" must not be read as "=". */
static const char *const match_names[_MATCH_MAX] = {
        [MATCH_NOT_EQUAL] = "!=",
        [MATCH_REGEX] = "=~",
        [MATCH_NOT_REGEX] = "!~",
        [MATCH_EQUAL] = "=",
};

struct LabelMatcher {
        char *label;
        Match match;
        char *value;
        size_t value_length;
        regex_t regex;
        bool has_regex;
};

void label_matchers_done(LabelMatchers *matchers) {
        for (size_t i = 0; i < matchers->n_items; i++) {
                LabelMatcher *matcher = &matchers->items[i];

                free(matcher->label);
                free(matcher->value);
                if (matcher->has_regex)
                        regfree(&matcher->regex);
        }
        free(matchers->items);
        *matchers = (LabelMatchers){};
}

/* ---- parsing ---- */

bool selector_take_word(const char **text, const char *word) {
        const char *after;

        *text += strspn(*text, " \t");
        after = string_after_prefix(*text, word);
        if (after)
                *text = after;
        return after;
}

/* A text between quotes, without its backslashes; *text is at the opening quote. */
static int parse_quoted(const char **text, char **ret, char **ret_why) {
        _cleanup_free_ char *value = malloc(strlen(*text) + 1);
        char quote = **text, *out = value;

        if (!value)
                return -ENOMEM;
        for ((*text)++; **text && **text != quote; (*text)++) {
                if (**text == '\\') {
                        (*text)++;
                        if (!**text || !strchr("\\\"'n", **text)) {
                                (void) string_replace(ret_why,
                                                      "in a label's value, \\ stands before "
                                                      "another \\, a quote or n; write \\\\ for "
                                                      "the \\ of a regular expression");
                                return -EINVAL;
                        }
                        *out++ = (char) (**text == 'n' ? '\n' : **text);
                } else {
                        *out++ = **text;
                }
        }
        if (!**text) {
                (void) string_printf(ret_why, "a closing %c is missing", quote);
                return -EINVAL;
        }
        (*text)++;
        *out = '\0';
        *ret = TAKE_PTR(value);
        return 0;
}

/* As in Prometheus, an expression must match all of a value. */
static int matcher_compile(LabelMatcher *matcher, char **ret_why) {
        _cleanup_free_ char *expression = NULL;
        char why[128];
        int r;

        if (matcher->match != MATCH_REGEX && matcher->match != MATCH_NOT_REGEX)
                return 0;
        if (pattern_refers_back(matcher->value, strlen(matcher->value))) {
                (void) string_printf(ret_why,
                                     "the value of label \"%s\" is no POSIX extended regular "
                                     "expression: %s",
                                     matcher->label, PATTERN_REFERS_BACK);
                return -EINVAL;
        }
        r = string_printf(&expression, "^(%s)$", matcher->value);
        if (r < 0)
                return r;
        r = regcomp(&matcher->regex, expression, REG_EXTENDED | REG_NOSUB);
        if (r == REG_ESPACE)
                return -ENOMEM;
        if (r != 0) {
                regerror(r, &matcher->regex, why, sizeof(why));
                (void) string_printf(ret_why,
                                     "the value of label \"%s\" is no POSIX extended regular "
                                     "expression: %s",
                                     matcher->label, why);
                return -EINVAL;
        }
        matcher->has_regex = true;
        return 0;
}

static int matcher_parse(LabelMatcher *matcher, const char **text, char **ret_why) {
        size_t length;
        int r;

        (void) selector_take_word(text, "");
        length = exposition_name_length(*text, strlen(*text), true);
        if (length == 0) {
                (void) string_replace(ret_why, "inside { } stand labels, such as code=\"500\"");
                return -EINVAL;
        }
        matcher->label = strndup(*text, length);
        if (!matcher->label)
                return -ENOMEM;
        *text += length;
        matcher->match = 0;
        while (matcher->match < _MATCH_MAX &&
               !selector_take_word(text, match_names[matcher->match]))
                matcher->match++;
        (void) selector_take_word(text, "");
        if (matcher->match == _MATCH_MAX || (**text != '"' && **text != '\'')) {
                (void) string_printf(ret_why,
                                     "after label \"%s\" comes one of = != =~ !~ and a value in "
                                     "quotes, such as %s=\"500\"",
                                     matcher->label, matcher->label);
                return -EINVAL;
        }
        r = parse_quoted(text, &matcher->value, ret_why);
        if (r < 0)
                return r;
        matcher->value_length = strlen(matcher->value);
        return matcher_compile(matcher, ret_why);
}

int label_matchers_parse(LabelMatchers *matchers, const char **text, char **ret_why) {
        LabelMatcher *grown;
        int r;

        while (!selector_take_word(text, "}")) {
                grown = reallocarray(matchers->items, matchers->n_items + 1, sizeof(LabelMatcher));
                if (!grown)
                        return -ENOMEM;
                matchers->items = grown;
                grown[matchers->n_items] = (LabelMatcher){};
                r = matcher_parse(&grown[matchers->n_items++], text, ret_why);
                if (r < 0)
                        return r;
                if (!selector_take_word(text, ",") && **text != '}') {
                        (void) string_replace(ret_why,
                                              "after a label's value comes \",\" or \"}\"");
                        return -EINVAL;
                }
        }
        return 0;
}

/* ---- matching ---- */

static bool matcher_holds(const LabelMatcher *matcher, const ExpositionSample *sample) {
        const ExpositionLabel *label = NULL;
        size_t name_length = strlen(matcher->label), length;
        const char *value;
        regmatch_t range;
        bool equal;

        for (size_t i = 0; i < sample->n_labels && !label; i++)
                if (sample->labels[i].name_length == name_length &&
                    memcmp(sample->labels[i].name, matcher->label, name_length) == 0)
                        label = &sample->labels[i];
        value = label ? label->value : "";
        length = label ? label->value_length : 0;
        if (matcher->has_regex) {
                range = (regmatch_t){ .rm_so = 0, .rm_eo = (regoff_t) length };
                equal = regexec(&matcher->regex, value, 1, &range, REG_STARTEND) == 0;
        } else {
                equal = length == matcher->value_length &&
                        memcmp(value, matcher->value, length) == 0;
        }
        return equal == (matcher->match == MATCH_EQUAL || matcher->match == MATCH_REGEX);
}

bool label_matchers_hold(const LabelMatchers *matchers, const ExpositionSample *sample) {
        for (size_t i = 0; i < matchers->n_items; i++)
                if (!matcher_holds(&matchers->items[i], sample))
                        return false;
        return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/condition.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/pattern.h"
#include "base/time-util.h"

/* Of a number as text. */
#define NUMBER_SIZE 32

typedef enum Operator {
        OPERATOR_LESS_EQUAL,
        OPERATOR_GREATER_EQUAL,
        OPERATOR_EQUAL,
        OPERATOR_NOT_EQUAL,
        OPERATOR_NOT_MATCH,
        OPERATOR_LESS,
        OPERATOR_GREATER,
        OPERATOR_MATCH,
        _OPERATOR_MAX,
} Operator;

/* Two-letter ones first: "<=" must not be read as "<". */
static const char *const operator_names[_OPERATOR_MAX] = {
        [OPERATOR_LESS_EQUAL] = "<=", [OPERATOR_GREATER_EQUAL] = ">=", [OPERATOR_EQUAL] = "==",
        [OPERATOR_NOT_EQUAL] = "!=",  [OPERATOR_NOT_MATCH] = "!~",     [OPERATOR_LESS] = "<",
        [OPERATOR_GREATER] = ">",     [OPERATOR_MATCH] = "~",
};

typedef struct Term {
        char *name;
        Operator comparison;
        char *value;
        double number; /* NAN if the value is none */
        regex_t regex;
        bool has_regex;
} Term;

struct Condition {
        Term *terms;
        size_t n_terms;
};

Condition *condition_free(Condition *condition) {
        if (!condition)
                return NULL;
        for (size_t i = 0; i < condition->n_terms; i++) {
                Term *term = &condition->terms[i];

                free(term->name);
                free(term->value);
                if (term->has_regex)
                        regfree(&term->regex);
        }
        free(condition->terms);
        free(condition);
        return NULL;
}
DEFINE_CLEANUP(Condition, condition_free)

int condition_add_names(const Condition *condition, StringList *names) {
        int r;

        for (size_t i = 0; i < condition->n_terms; i++) {
                r = string_list_add(names, condition->terms[i].name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "85", "85%", "1.5G"; NAN if it is no number. */
static double number_parse(const char *text) {
        static const char units[] = "KMGT";
        const char *unit, *end;
        double number;

        if (!string_parse_number(text, &number, &end))
                return NAN;
        if (*end == '%')
                return end[1] ? NAN : number;
        unit = *end ? strchr(units, *end) : NULL;
        if (unit) {
                number *= pow(1024, (double) (unit - units + 1));
                end++;
        }
        return *end ? NAN : number;
}

static bool boolean_parse(const char *text, bool *ret) {
        static const char *const words[] = { "false", "no", "0", "off", "true", "yes", "1", "on" };

        for (size_t i = 0; i < ELEMENTS(words); i++)
                if (strcasecmp(text, words[i]) == 0) {
                        *ret = i >= ELEMENTS(words) / 2;
                        return true;
                }
        return false;
}

static int term_parse_operator(Term *term, const char **text, char **ret_why) {
        for (size_t i = 0; i < _OPERATOR_MAX; i++) {
                const char *after = string_after_prefix(*text, operator_names[i]);
                if (after) {
                        term->comparison = (Operator) i;
                        *text = after;
                        return 0;
                }
        }
        if (**text == '=')
                (void) string_printf(ret_why, "\"=\" is no comparison; write \"%s == ...\"",
                                     term->name);
        else
                (void) string_printf(ret_why,
                                     "after \"%s\" comes one of < <= == != >= > ~ !~ and a value, "
                                     "for example \"%s > 10\"",
                                     term->name, term->name);
        return -EINVAL;
}

/* Where the value at text ends: at a closing quote, at " and ", or at the end. */
static const char *value_end(const char *text) {
        const char *p = strstr(text, " and ");

        return p ? p : text + strlen(text);
}

static int term_parse_value(Term *term, const char **text, char **ret_why) {
        const char *start = *text, *end;

        if (*start == '"') {
                end = strchr(++start, '"');
                if (!end) {
                        (void) string_printf(ret_why, "the closing \" of %s's value is missing",
                                             term->name);
                        return -EINVAL;
                }
                *text = end + 1;
        } else {
                end = value_end(start);
                *text = end;
        }
        term->value = strndup(start, (size_t) (end - start));
        if (!term->value)
                return -ENOMEM;
        if (start == *text) {
                (void) string_printf(ret_why, "\"%s %s\" lacks a value", term->name,
                                     operator_names[term->comparison]);
                return -EINVAL;
        }
        term->number = number_parse(string_strip(term->value));
        return 0;
}

static int term_compile(Term *term, char **ret_why) {
        char why[128];
        int r;

        if (term->comparison == OPERATOR_MATCH || term->comparison == OPERATOR_NOT_MATCH) {
                if (pattern_refers_back(term->value, strlen(term->value))) {
                        (void) string_printf(ret_why, "\"%s\" is no regular expression: %s",
                                             term->value, PATTERN_REFERS_BACK);
                        return -EINVAL;
                }
                r = regcomp(&term->regex, term->value, REG_EXTENDED | REG_NOSUB);
                if (r == REG_ESPACE)
                        return -ENOMEM;
                if (r != 0) {
                        regerror(r, &term->regex, why, sizeof(why));
                        (void) string_printf(ret_why, "\"%s\" is no regular expression: %s",
                                             term->value, why);
                        return -EINVAL;
                }
                term->has_regex = true;
                return 0;
        }
        if (term->comparison != OPERATOR_EQUAL && term->comparison != OPERATOR_NOT_EQUAL &&
            isnan(term->number)) {
                (void) string_printf(ret_why, "\"%s %s\" needs a number, not \"%s\"", term->name,
                                     operator_names[term->comparison], term->value);
                return -EINVAL;
        }
        return 0;
}

static const char *skip_spaces(const char *text) {
        return text + strspn(text, " \t");
}

/* One "NAME OP VALUE": advances *text past it. */
static int term_parse(Term *term, const char **text, char **ret_why) {
        size_t length = strcspn(*text, " \t<>=!~");
        int r;

        if (length == 0) {
                (void) string_replace(ret_why, "a condition is \"NAME OP VALUE\", for example "
                                               "\"duration_ms > 200\"");
                return -EINVAL;
        }
        term->name = strndup(*text, length);
        if (!term->name)
                return -ENOMEM;
        *text = skip_spaces(*text + length);
        r = term_parse_operator(term, text, ret_why);
        if (r < 0)
                return r;
        *text = skip_spaces(*text);
        r = term_parse_value(term, text, ret_why);
        if (r < 0)
                return r;
        return term_compile(term, ret_why);
}

int condition_parse(const char *text, Condition **ret, char **ret_why) {
        _cleanup_(condition_freep) Condition *condition = calloc(1, sizeof(Condition));
        Term *terms;
        int r;

        if (!condition)
                return -ENOMEM;
        for (;;) {
                terms = reallocarray(condition->terms, condition->n_terms + 1, sizeof(Term));
                if (!terms)
                        return -ENOMEM;
                condition->terms = terms;
                terms[condition->n_terms] = (Term){};
                text = skip_spaces(text);
                r = term_parse(&terms[condition->n_terms++], &text, ret_why);
                if (r < 0)
                        return r;
                text = skip_spaces(text);
                if (!*text)
                        break;
                text = string_after_prefix(text, "and ");
                if (!text) {
                        (void) string_replace(ret_why, "conditions are joined by \" and \"; "
                                                       "alternatives are lines of their own");
                        return -EINVAL;
                }
        }
        *ret = TAKE_PTR(condition);
        return 0;
}

static ConditionResult result_of(bool holds) {
        return holds ? CONDITION_TRUE : CONDITION_FALSE;
}

static ConditionResult compare_numbers(const Term *term, double number) {
        if (isnan(term->number))
                return CONDITION_MISMATCH;
        /* What has no value yet is not judged. */
        if (isnan(number))
                return CONDITION_FALSE;
        switch (term->comparison) {
        case OPERATOR_LESS:
                return result_of(number < term->number);
        case OPERATOR_LESS_EQUAL:
                return result_of(number <= term->number);
        case OPERATOR_GREATER:
                return result_of(number > term->number);
        case OPERATOR_GREATER_EQUAL:
                return result_of(number >= term->number);
        case OPERATOR_EQUAL:
                return result_of(number == term->number);
        case OPERATOR_NOT_EQUAL:
                return result_of(number != term->number);
        case OPERATOR_MATCH:
        case OPERATOR_NOT_MATCH:
        case _OPERATOR_MAX:
                break;
        }
        return CONDITION_MISMATCH;
}

static ConditionResult compare_strings(const Term *term, const char *text) {
        switch (term->comparison) {
        case OPERATOR_EQUAL:
                return result_of(strcmp(text, term->value) == 0);
        case OPERATOR_NOT_EQUAL:
                return result_of(strcmp(text, term->value) != 0);
        case OPERATOR_MATCH:
                return result_of(regexec(&term->regex, text, 0, NULL, 0) == 0);
        case OPERATOR_NOT_MATCH:
                return result_of(regexec(&term->regex, text, 0, NULL, 0) != 0);
        case OPERATOR_LESS:
        case OPERATOR_LESS_EQUAL:
        case OPERATOR_GREATER:
        case OPERATOR_GREATER_EQUAL:
                /* A server may send a number as text. */
                if (!isnan(number_parse(text)))
                        return compare_numbers(term, number_parse(text));
                return CONDITION_MISMATCH;
        case _OPERATOR_MAX:
                break;
        }
        return CONDITION_MISMATCH;
}

static ConditionResult compare_booleans(const Term *term, bool boolean) {
        bool wanted;

        if (term->has_regex)
                return compare_strings(term, boolean ? "true" : "false");
        if (!boolean_parse(term->value, &wanted))
                return CONDITION_MISMATCH;
        if (term->comparison == OPERATOR_EQUAL)
                return result_of(boolean == wanted);
        if (term->comparison == OPERATOR_NOT_EQUAL)
                return result_of(boolean != wanted);
        return CONDITION_MISMATCH;
}

/* The number a name stands for: a detail's, or the duration every sample has. */
static bool number_find(const Sample *sample, const Detail *detail, const char *name,
                        double *ret_number) {
        if (detail && detail->type != DETAIL_NUMBER)
                return false;
        if (!detail && !string_equal(name, "duration_ms"))
                return false;
        *ret_number = detail ? detail->number
                             : (double) sample->duration_usec / (double) USEC_PER_MSEC;
        return true;
}

static void number_format(char *buffer, size_t size, double number) {
        (void) snprintf(buffer, size, "%.10g", number);
}

static ConditionResult term_eval(const Term *term, const Sample *sample) {
        const Detail *detail = sample_find(sample, term->name);
        char text[NUMBER_SIZE];
        double number;

        if (detail && detail->type == DETAIL_STRING)
                return compare_strings(term, detail_string(sample, detail));
        if (detail && detail->type == DETAIL_BOOLEAN)
                return compare_booleans(term, detail->boolean);
        if (!number_find(sample, detail, term->name, &number))
                return CONDITION_ABSENT;
        if (!term->has_regex)
                return compare_numbers(term, number);
        number_format(text, sizeof(text), number);
        return compare_strings(term, text);
}

/* What the term was compared with, for people; buffer is for numbers. */
static const char *term_value(const Term *term, const Sample *sample, char *buffer, size_t size) {
        const Detail *detail = sample_find(sample, term->name);
        double number;

        if (number_find(sample, detail, term->name, &number)) {
                number_format(buffer, size, number);
                return buffer;
        }
        if (!detail)
                return "absent";
        if (detail->type == DETAIL_STRING)
                return detail_string(sample, detail);
        return detail->boolean ? "true" : "false";
}

static void reason_add_term(TextBuffer *reason, const Term *term, ConditionResult result,
                            const Sample *sample) {
        char buffer[NUMBER_SIZE];
        const char *value = term_value(term, sample, buffer, sizeof(buffer));

        assert(term->comparison < _OPERATOR_MAX);
        if (reason->length > 0)
                text_buffer_add_string(reason, " and ");
        text_buffer_printf(reason, "%s %s %s", term->name, operator_names[term->comparison],
                           term->value);
        if (result == CONDITION_ABSENT)
                text_buffer_printf(reason, ": nothing named \"%s\" was measured", term->name);
        else if (result == CONDITION_MISMATCH)
                text_buffer_printf(reason, ": \"%s\" cannot be compared so", value);
        else
                text_buffer_printf(reason, " (is %s)", value);
}

ConditionResult condition_eval(const Condition *condition, const Sample *sample,
                               char **ret_reason) {
        _cleanup_(text_buffer_done) TextBuffer reason = {};
        ConditionResult worst = CONDITION_TRUE;

        /* A term that is false settles it, whatever is wrong with the others. */
        for (size_t i = 0; i < condition->n_terms; i++) {
                ConditionResult result = term_eval(&condition->terms[i], sample);

                if (result == CONDITION_FALSE)
                        return CONDITION_FALSE;
                if (result > worst)
                        worst = result;
        }
        if (!ret_reason)
                return worst;
        /* Most conditions are false most of the time: no text is made for those. */
        for (size_t i = 0; i < condition->n_terms; i++)
                reason_add_term(&reason, &condition->terms[i],
                                term_eval(&condition->terms[i], sample), sample);
        if (text_buffer_finish(&reason, ret_reason, NULL) < 0)
                *ret_reason = NULL;
        return worst;
}

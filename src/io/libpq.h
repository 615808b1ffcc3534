/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libpq, loaded: see io/library.h. */

#include <libpq-fe.h>

#include "io/library.h"

extern const Library library_libpq;

#define LIBPQ_FUNCTIONS(X)                                                                         \
        X(PQclear)                                                                                 \
        X(PQconndefaults)                                                                          \
        X(PQconnectPoll)                                                                           \
        X(PQconnectStartParams)                                                                    \
        X(PQconninfoFree)                                                                          \
        X(PQconninfoParse)                                                                         \
        X(PQconsumeInput)                                                                          \
        X(PQerrorMessage)                                                                          \
        X(PQfinish)                                                                                \
        X(PQflush)                                                                                 \
        X(PQfname)                                                                                 \
        X(PQfreemem)                                                                               \
        X(PQftype)                                                                                 \
        X(PQgetResult)                                                                             \
        X(PQgetisnull)                                                                             \
        X(PQgetvalue)                                                                              \
        X(PQhost)                                                                                  \
        X(PQhostaddr)                                                                              \
        X(PQisBusy)                                                                                \
        X(PQnfields)                                                                               \
        X(PQnotifies)                                                                              \
        X(PQntuples)                                                                               \
        X(PQparameterStatus)                                                                       \
        X(PQport)                                                                                  \
        X(PQresultErrorField)                                                                      \
        X(PQresultErrorMessage)                                                                    \
        X(PQresultStatus)                                                                          \
        X(PQsendQueryParams)                                                                       \
        X(PQsetNoticeProcessor)                                                                    \
        X(PQsetSingleRowMode)                                                                      \
        X(PQsetnonblocking)                                                                        \
        X(PQsocket)                                                                                \
        X(PQstatus)                                                                                \
        X(PQtransactionStatus)

LIBPQ_FUNCTIONS(LIBRARY_DECLARE)

#define PQclear              sym_PQclear
#define PQconndefaults       sym_PQconndefaults
#define PQconnectPoll        sym_PQconnectPoll
#define PQconnectStartParams sym_PQconnectStartParams
#define PQconninfoFree       sym_PQconninfoFree
#define PQconninfoParse      sym_PQconninfoParse
#define PQconsumeInput       sym_PQconsumeInput
#define PQerrorMessage       sym_PQerrorMessage
#define PQfinish             sym_PQfinish
#define PQflush              sym_PQflush
#define PQfname              sym_PQfname
#define PQfreemem            sym_PQfreemem
#define PQftype              sym_PQftype
#define PQgetResult          sym_PQgetResult
#define PQgetisnull          sym_PQgetisnull
#define PQgetvalue           sym_PQgetvalue
#define PQhost               sym_PQhost
#define PQhostaddr           sym_PQhostaddr
#define PQisBusy             sym_PQisBusy
#define PQnfields            sym_PQnfields
#define PQnotifies           sym_PQnotifies
#define PQntuples            sym_PQntuples
#define PQparameterStatus    sym_PQparameterStatus
#define PQport               sym_PQport
#define PQresultErrorField   sym_PQresultErrorField
#define PQresultErrorMessage sym_PQresultErrorMessage
#define PQresultStatus       sym_PQresultStatus
#define PQsendQueryParams    sym_PQsendQueryParams
#define PQsetNoticeProcessor sym_PQsetNoticeProcessor
#define PQsetSingleRowMode   sym_PQsetSingleRowMode
#define PQsetnonblocking     sym_PQsetnonblocking
#define PQsocket             sym_PQsocket
#define PQstatus             sym_PQstatus
#define PQtransactionStatus  sym_PQtransactionStatus

/* Prints what ICU calls its locales and time zones: cc identifiers.c $(pkg-config --libs icu-i18n icu-uc) -o identifiers
   && ./identifiers locales | zones. */
#include <stdio.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/uenum.h>
#include <unicode/uloc.h>
#include <unicode/uversion.h>

int main(int argc, char **argv) {
    UErrorCode status = U_ZERO_ERROR;
    char tag[ULOC_FULLNAME_CAPACITY];
    printf("# ICU4C %s\n", U_ICU_VERSION);
    if (argc > 1 && strcmp(argv[1], "zones") == 0) {
        UEnumeration *zones = ucal_openTimeZones(&status);
        const char *zone;
        while ((zone = uenum_next(zones, NULL, &status)) != NULL) printf("%s\n", zone);
        uenum_close(zones);
        return U_FAILURE(status);
    }
    for (int32_t at = 0; at < uloc_countAvailable(); at++) {
        const char *name = uloc_getAvailable(at);
        /* With keywords, as iOS prints the locale of a person who has set a region or a calendar of their own. */
        uloc_toLanguageTag(name, tag, sizeof tag, 0, &status);
        printf("%s\t%s@calendar=gregorian\t%s@rg=gbzzzz\t%s\n", name, name, name, tag);
    }
    return U_FAILURE(status);
}

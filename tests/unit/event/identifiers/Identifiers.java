import java.util.Arrays;
import java.util.Locale;
import java.util.TimeZone;

/** Prints what Java calls its locales and time zones: javac Identifiers.java && java Identifiers locales | zones. */
public final class Identifiers {
    public static void main(String[] arguments) {
        System.out.println("# Java " + System.getProperty("java.version") + ", " + System.getProperty("java.vm.name"));
        if (arguments[0].equals("zones")) {
            Arrays.stream(TimeZone.getAvailableIDs()).sorted().forEach(System.out::println);
            return;
        }
        // As an app sends it that calls toString(), and as one that calls toLanguageTag().
        Arrays.stream(Locale.getAvailableLocales())
            .map(locale -> locale + "\t" + locale.toLanguageTag())
            .sorted()
            .forEach(System.out::println);
    }
}

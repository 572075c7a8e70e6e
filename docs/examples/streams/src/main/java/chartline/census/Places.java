package chartline.census;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Where a person is now, from all records of the chart, whatever their order: docs/TIMELINE.md, "From versions to what
 * is shown", as far as it concerns encounters and places.
 */
public final class Places {
    /** Never the order of arrival: class, version time, message time, a cancel after what it cancels, event. */
    static final Comparator<Item> ORDER = Comparator.comparingInt(Item::statusClass).thenComparingLong(Item::order)
        .thenComparingLong(Item::message).thenComparing(item -> !item.act().isEmpty()).thenComparing(Item::origin)
        .thenComparing(Item::event).thenComparingLong(Item::ordinal).thenComparing(Item::id);
    private static final Comparator<Item> IN_TIME = Comparator.comparingLong(Item::effective).thenComparing(ORDER);

    private Places() {
    }

    /** Location token to since when, for each place where the person is now. */
    public static Map<String, String> now(Collection<Item> items) {
        Set<String> replaced = new HashSet<>();
        items.forEach(item -> replaced.addAll(item.supersedes()));
        List<Item> encounters = new ArrayList<>();
        List<Item> locations = new ArrayList<>();
        for (Item item : items) {
            if (!item.kind().equals("revision") && !replaced.contains(item.event())) {
                (item.kind().equals("encounter") ? encounters : locations).add(item);
            }
        }
        Collection<List<Item>> visits = facts(encounters);
        Map<String, String> names = names(visits);
        Map<String, List<Item>> standing = standing(locations, names);
        Map<String, String> now = new HashMap<>();
        for (List<Item> versions : visits) {
            String status = status(versions);
            Item current = newest(versions);
            if (withdrawn(current) || List.of("finished", "cancelled", "planned", "entered-in-error").contains(status)) {
                continue;
            }
            List<Item> places = current.encounter().isEmpty() ? List.of() : standing.getOrDefault(names.get(current.encounter()), List.of());
            Item place = last(places);
            if (place == null || place.location().isEmpty()) {
                continue;
            }
            for (int i = places.size() - 1; i >= 0 && places.get(i).location().equals(place.location()); i--) {
                place = places.get(i); // another bed of the same ward
            }
            now.merge(place.location(), place.since(), (a, b) -> Item.moment(a, 0) <= Item.moment(b, 0) ? a : b);
        }
        return now;
    }

    /** Versions that share a fact token are one fact; each fact's versions in their order. */
    private static Collection<List<Item>> facts(List<Item> items) {
        Map<String, List<Item>> byFact = new HashMap<>();
        List<List<Item>> all = new ArrayList<>();
        for (Item item : items) {
            List<Item> mine = null;
            for (String fact : item.facts()) {
                List<Item> other = byFact.get(fact);
                if (mine == null || other == null || other == mine) {
                    mine = mine == null ? other : mine;
                    continue;
                }
                for (Item member : other) { // the item joins two that were apart
                    for (String name : member.facts()) {
                        byFact.put(name, mine);
                    }
                    mine.add(member);
                }
                other.clear();
            }
            if (mine == null) {
                mine = new ArrayList<>();
                all.add(mine);
            }
            mine.add(item);
            for (String fact : item.facts()) {
                byFact.put(fact, mine);
            }
        }
        all.removeIf(List::isEmpty);
        all.forEach(list -> list.sort(ORDER));
        return all;
    }

    private static Item last(List<Item> items) {
        return items.isEmpty() ? null : items.get(items.size() - 1);
    }

    /** The newest that states the fact; one that only fills in or tells the status if there is no other. */
    private static Item newest(List<Item> versions) {
        Item other = null;
        for (int i = versions.size() - 1; i >= 0; i--) {
            Item version = versions.get(i);
            if (!version.mode().equals("status") && !version.mode().equals("fill")) {
                return version;
            }
            other = other == null ? version : other;
        }
        return other;
    }

    private static boolean withdrawn(Item version) {
        return version.act().equals("withdraw") || version.status().equals("entered-in-error");
    }

    /** The folded status: absent or unknown leaves what was said before. */
    private static String status(List<Item> versions) {
        String said = "";
        String filled = "";
        for (Item version : versions) {
            if (version.mode().equals("replace") && version.act().isEmpty()) {
                said = "";
            }
            if (version.status().isEmpty() || version.status().equals("unknown")) {
                continue;
            }
            if (version.mode().equals("fill")) {
                filled = version.status();
            } else {
                said = version.status();
            }
        }
        return said.isEmpty() ? filled : said;
    }

    /** A42 and A50 make two visit numbers one: each encounter token to the one that all of its visit are called by here. */
    private static Map<String, String> names(Collection<List<Item>> visits) {
        Map<String, String> names = new HashMap<>();
        for (List<Item> versions : visits) {
            String name = "";
            for (Item version : versions) {
                name = name.isEmpty() ? version.encounter() : name;
                if (!version.encounter().isEmpty()) {
                    names.put(version.encounter(), name);
                }
            }
        }
        return names;
    }

    private static String visit(Item item, Map<String, String> names) {
        return names.getOrDefault(item.encounter(), item.encounter());
    }

    private static boolean cancels(Item version) {
        return version.act().equals("cancel-transfer") || version.act().equals("cancel-admission");
    }

    /** Visit to its places that stand, in the order of time. */
    private static Map<String, List<Item>> standing(List<Item> locations, Map<String, String> names) {
        Collection<List<Item>> facts = facts(locations);
        Map<List<Item>, Item> taken = new IdentityHashMap<>();
        locations.stream().filter(Places::cancels).sorted(ORDER).forEach(cancel -> takeBack(facts, taken, cancel, names));
        List<Item> places = new ArrayList<>();
        for (List<Item> versions : facts) {
            Item current = newest(versions);
            boolean back = taken.containsKey(versions) && ORDER.compare(current, taken.get(versions)) < 0;
            if (!withdrawn(current) && !cancels(current) && !back) { // what was said again after the cancel stands
                places.add(current);
            }
        }
        Map<String, List<Item>> standing = new HashMap<>();
        places.sort(IN_TIME);
        for (Item place : places) {
            List<Item> list = standing.computeIfAbsent(visit(place, names), key -> new ArrayList<>());
            Item before = last(list);
            boolean announced = !place.trigger().startsWith("ADT^")
                || place.triggered("A01", "A04", "A05", "A14", "A02", "A09", "A10", "A17");
            if (announced || before == null || !before.location().equals(place.location())) {
                list.add(place); // else an update that says again where the patient is
            }
        }
        return standing;
    }

    /** What a cancel finds of a place: its newest version before the cancel; null if there was none or it was taken back already. */
    private static Item cancellable(List<Item> versions, Item taken, Item cancel, Map<String, String> names) {
        Item found = null;
        for (Item version : versions) {
            found = ORDER.compare(version, cancel) < 0 ? version : found;
        }
        if (found == null || withdrawn(found) || cancels(found) || !visit(found, names).equals(visit(cancel, names))) {
            return null;
        }
        return taken != null && ORDER.compare(found, taken) < 0 ? null : found;
    }

    /** A11 takes the admission back; A12 the transfer of its effective time, else the last one before it that stands. */
    private static void takeBack(Collection<List<Item>> facts, Map<List<Item>, Item> taken, Item cancel, Map<String, String> names) {
        List<Item> fact = null;
        Item found = null;
        for (List<Item> versions : cancel.encounter().isEmpty() ? List.<List<Item>>of() : facts) {
            Item place = cancellable(versions, taken.get(versions), cancel, names);
            if (place == null) {
                continue;
            }
            if (cancel.act().equals("cancel-admission")) {
                if (place.triggered("A01", "A04", "A05", "A14") && place.effective() <= cancel.order()) {
                    taken.put(versions, cancel);
                }
                continue;
            }
            if (!place.triggered("A02")) {
                continue;
            }
            if (place.effective() == cancel.effective()) {
                fact = versions;
                break;
            }
            if (place.effective() <= cancel.order() && (found == null || IN_TIME.compare(found, place) < 0)) {
                fact = versions;
                found = place;
            }
        }
        if (fact != null) {
            taken.put(fact, cancel);
        }
    }
}

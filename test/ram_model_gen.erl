%% Generators of the operations that ram_model knows: every call on keys and tables, with every
%% option. Few keys, so that they meet. Times to live are whole hours: see ram_model_call. Debian's
%% PropEr comes without its header, hence the macro.
-module(ram_model_gen).

-export([key_sets/0, operation/2, of_times/2, at_once/1]).
%% For ram_watch_gen.
-export([key/0, one_write/2]).

-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).
%% PropEr takes longer to build a type than to draw from it.
-define(LAZY(Gen), proper_types:lazy(fun() -> Gen end)).

-import(proper_types, [oneof/1, frequency/1, range/2, elements/1, vector/2]).
-import(ram_model_options, [boolean/0, call/3, call_on/4, few/1, given/2, options/1,
                            ordered_table/0, return/1, shortest/1, table/0, timeout/0]).

%% Among them pairs that only `=:=' tells apart, and names that ranges and conditions use. No
%% improper list: PropEr, when it shrinks, asks for its length.
keys() ->
    [1, 1.0, 2, 0.5, a, in, '$first', <<"a">>, <<"ab">>, <<"a", 1:3>>, [], [1], [1.0, 2], [1, 2],
     "ab", {}, {1}, {1, b}, {1.0, a}, {2, a}, {k, [1]}, {key, a}, #{}, #{k => 1},
     #{k => 1.0}, 1 bsl 70].

%% @doc The keys of a run.
key_sets() ->
    vector(6, key()).

key() -> elements(keys()).

%% @doc An operation on one of the keys; the revision is the present one.
operation(Keys, Rev) ->
    Key = elements(Keys),
    frequency([{8, ?LAZY(write(Key, Rev))}, {4, ?LAZY(read(Key))}, {4, ?LAZY(update(Key))},
               {2, ?LAZY(counter(Key))}, {3, ?LAZY(many(Key))}, {4, ?LAZY(txn(Key, Rev))},
               {5, ?LAZY(transaction(Key))}, {2, ?LAZY(tables())}, {3, ?LAZY(scan(Keys))},
               {5, ?LAZY(ordered(Keys))}, {3, ?LAZY(pages(Keys, Rev))},
               {2, ?LAZY(ram_model_wrong:operation(Keys))}]).

%% @doc One that gives a time to live, or leaves it, or ends it, or tells what it is.
of_times(Keys, Rev) ->
    Key = elements(Keys),
    frequency([{6, ?LAZY(write(Key, Rev))}, {3, call(touch, [Key, ttl()], [])},
               {4, ?LAZY(update(Key))}, {1, ?LAZY(counter(Key))}, {2, ?LAZY(many(Key))},
               {4, ?LAZY(txn(Key, Rev))}, {3, ?LAZY(transaction(Key))},
               {6, read(lookup, [Key])}, {3, read(ttl, [Key])}]).

%% @doc One that writes at most once, of whatever kind.
one_write(Keys, Rev) ->
    Key = elements(Keys),
    Steps = few(frequency([{2, {fetch, elements([default, s, o]), Key}},
                           {4, {put, elements([default, s, o]), Key, value(), given()}},
                           {2, {delete, elements([default, s, o]), Key}},
                           {1, {range, o, '$first', '$last', #{}}}])),
    frequency([{8, ?LAZY(write(Key, Rev))}, {4, ?LAZY(many(Key))}, {4, ?LAZY(txn(Key, Rev))},
               {3, ?LAZY(counter(Key))}, {3, {transaction, [Steps], none}}, {3, ?LAZY(tables())},
               {2, call(update, [Key, value(), oneof(changes())], [return([ok, new])])},
               {2, call(get_and_update, [Key, oneof([keep, delete | changes()])], [])},
               {2, ?LET(Ends, delete_bounds(Key), call_on(o, delete_range, Ends, []))}]).

%%% One key

write(Key, Rev) ->
    oneof([call(put, [Key, value()], [return([ok, rev, old]), {expect, expected(Rev)},
                                      {ttl, ttl()}]),
           call(put, [Key, value()], [return([ok, rev, old]), {ttl, ttl()}]),
           call(put_new, [Key, value()], [{ttl, ttl()}]),
           call(cas, [Key, expected(Rev), value()], [{ttl, ttl()}]),
           call(touch, [Key, ttl()], []),
           call(delete, [Key], [return([ok, rev, old]), {expect, expected(Rev)}]),
           call(take, [Key], [])]).

ttl() ->
    oneof([infinity | [Hours * 3600000 || Hours <- [1, 2, 3, 24, 87600]]]).

expected(Rev) ->
    oneof([absent, present, {rev, rev(Rev)}, {value, value()}]).

%% Mostly one that a key may have.
rev(Rev) -> range(max(0, Rev - 6), Rev + 1).

read(Key) ->
    oneof([{get, [Key], none}, read(get, [Key, value()]), read(fetch, [Key]), read(lookup, [Key]),
           read(member, [Key]), read(get_many, [few(Key)]), read(size, []), read(lookup, [Key]),
           read(ttl, [Key]),
           ahead(Key)]).

%% Of a revision that is not there yet, which nobody waits for.
ahead(Key) ->
    ?LET({{Function, Arguments}, Reads},
         {oneof([{get, [Key, 1]}, {fetch, [Key]}, {lookup, [Key]}, {size, []}, {to_list, []},
                 {first, []}, {range, ['$last', '$first']}, {fold, []}]),
          elements([lease, quorum, local])},
         {Function, Arguments,
          #{table => o, reads => Reads, at_least => ahead, timeout => 5}}).

read(Function, Arguments) ->
    call(Function, Arguments, fresh()).

%% Of this node what it has applied by then: what was acknowledged before, whoever made it.
fresh() ->
    [{reads, elements([lease, quorum])}, {at_least, now}].

update(Key) ->
    ?LET({Table, K}, {table(), Key},
         oneof([call_on(Table, update, [K, value(), change(Table, K, changes())],
                        [return([ok, new, rev]), {retries, elements([0, 1, infinity])}]),
                call_on(Table, get_and_update,
                        [K, change(Table, K, [keep, delete, other | changes()])],
                        [{retries, elements([0, 1, infinity])}])])).

changes() -> [{set, value()}, wrap, crash].

%% Some put the key by another call, in the fun.
change(Table, Key, Changes) ->
    frequency([{3, oneof(Changes)},
               {1, {outside, range(1, 2), {Table, Key}, value(),
                    oneof([Change || Change <- Changes, Change =/= crash])}}]).

counter(Key) ->
    oneof([{update_counter, [Key, count()], none},
           call(update_counter, [Key, count(), range(-5, 5)], [])]).

count() ->
    Number = oneof([range(-9, 9), elements([1 bsl 64, -(1 bsl 64)])]),
    oneof([Number, {Number, Number, Number}]).

value() ->
    frequency([{3, range(-3, 3)},
               {3, oneof([undefined, error, 0.0, 1.0, <<"v">>, [], {ok, 1}, #{1 => 1.0},
                          1 bsl 70])},
               {1, proper_types:exactly(deep())}]).

%% One that the caller decodes, since the library does not build it.
deep() ->
    lists:foldl(fun(_, Inner) -> {Inner} end, bottom, lists:seq(1, 200)).

%%% Several keys

many(Key) ->
    oneof([call(put_many, [few({Key, value()})], [return([ok, rev]), {ttl, ttl()}]),
           call(put_many, [vector(4, {Key, value()})], [return([ok, rev]), {ttl, ttl()}]),
           call(delete_many, [few(Key)], [return([ok, rev])])]).

txn(Key, Rev) ->
    Operations = oneof([[], vector(1, operation_of(Key)), vector(3, operation_of(Key))]),
    Conditions = oneof([[], vector(1, condition(Key, Rev)), vector(2, condition(Key, Rev))]),
    call(txn, [Conditions, Operations, Operations], []).

condition(Key, Rev) ->
    Condition = oneof([{Key, absent}, {Key, present}, {Key, '=:=', value()},
                       {Key, rev, elements(['=', '<', '>']), rev(Rev)}]),
    elsewhere(Condition).

operation_of(Key) ->
    elsewhere(frequency([{1, {get, Key}}, {2, {put, Key, value()}}, {1, {delete, Key}},
                         {1, {put, Key, value(), given()}}, {2, {take, Key}},
                         {1, {update_counter, Key, count()}}])).

%% What a put says beside the value.
given() -> options([{ttl, ttl()}]).

elsewhere(Part) ->
    frequency([{30, Part}, {9, {in, elements([default, s, o]), Part}}, {1, {in, t, Part}}]).

%% What the fun does beside, it does in tables that are always there; and then its ranges have no
%% limit, so that it is known what they saw.
transaction(Key) ->
    Table = frequency([{9, elements([default, s, o, o])}, {1, t}]),
    Step = frequency([{2, {get, Key}}, {3, {get, Table, Key, value()}}, {2, {fetch, Table, Key}},
                      {6, {put, Table, Key, value(), given()}}, {2, {delete, Table, Key}}]),
    Last = oneof([{abort, value()}, {raise, elements([error, throw, exit]), crash}, nested]),
    Ranges = {range, o, bound(Key), bound(Key), options([{reverse, boolean()},
                                                         {keys_only, boolean()}])},
    Limited = {range, ordered_table(), bound(Key), bound(Key),
               options([{reverse, boolean()}, {keys_only, boolean()}, {limit, range(1, 4)}])},
    Beside = {outside, range(1, 2), elements([default, o]), Key, value()},
    Steps = frequency([{6, few(frequency([{3, Step}, {1, Limited}]))},
                       {4, few(frequency([{3, Step}, {1, Ranges}, {1, Beside}]))},
                       {4, overtaken(Key)}, {4, ?LAZY(ranges_over_own_writes(Key))},
                       {1, ?LET({First, End}, {few(Step), Last}, First ++ [End])}]),
    ?LET({Of, Retries}, {Steps, options([{retries, range(0, 2)}, {timeout, timeout()}])},
         {transaction, [Of], shortest(Retries)}).

%% What it reads of a table is changed beside it.
overtaken(Key) ->
    ?LET({Table, K}, {elements([default, o, o]), Key},
         [oneof([{fetch, Table, K} | [{range, o, '$first', '$last', #{}} || Table =:= o]]),
          {outside, range(1, 2), Table, K, value()},
          oneof([{put, Table, Key, value(), given()}, {delete, Table, Key}])]).

ranges_over_own_writes(Key) ->
    Write = oneof([{put, o, Key, value(), given()}, {delete, o, Key}]),
    ?LET(Bounds, bounds(Key),
         [Write, Write, {delete, o, Key},
          list_to_tuple([range, o] ++ Bounds
                        ++ [options([{reverse, boolean()}, {limit, range(1, 3)}])])]).

%%% Tables and scans

tables() ->
    oneof([{create_table, [elements([default, s, t, u])],
            options([{type, elements([set, ordered_set])}, {timeout, timeout()}])},
           {create_table, [elements([t, u])], #{type => ordered_set}},
           {drop_table, [elements([t, u])], none}, {tables, [], none},
           {info, [table()], none}, {info, [oneof([s, o])], none}]).

scan(Keys) ->
    Scan = [{reverse, boolean()} | fresh()],
    Listed = [{reverse, boolean()}, {keys_only, boolean()} | fresh()],
    oneof([call(fold, [], Scan), call(fold, [crash], Scan), call(foreach, [], Scan),
           call(to_list, [], Listed), call(keys, [], Scan),
           call(select, [spec(Keys)], Scan)]).

spec(Keys) ->
    elements([[{{'$1', '$2'}, [{is_integer, '$2'}], [{{'$2', '$1'}}]}],
              [{{{'$1', '_'}, '_'}, [], ['$_']}, {{'_', '$1'}, [{'==', '$1', 1}], ['$$']}],
              [{'$1', [], ['$1']}]
              | [[{{Key, '$1'}, [], ['$1']}] || Key <- Keys, not is_map(Key), Key =/= '$first']]).

%% Those that need an order; a few are of a set, which has none.
ordered(Keys) ->
    Key = elements(Keys),
    ?LET(Table, ordered_table(),
         oneof([call_on(Table, Function, Arguments, fresh())
                || {Function, Arguments} <- [{first, []}, {last, []}, {next, [Key]},
                                             {prev, [Key]}]]
               ++ [call_on(Table, range, bounds(Key), listed()),
                   call_on(Table, range, bounds(Key), listed()),
                   call_on(Table, prefix, [prefix(Keys)], listed()),
                   call_on(Table, delete_range, delete_bounds(Key), [])])).

listed() ->
    [{reverse, boolean()}, {keys_only, boolean()} | fresh()].

bound(Key) ->
    frequency([{3, Key}, {3, elements(keys())}, {2, {key, Key}},
               {2, elements(['$first', '$last'])}]).

%% Seldom upside down.
bounds(Key) ->
    ?LET({From, To, AsTheyAre}, {bound(Key), bound(Key), frequency([{1, true}, {3, false}])},
         case AsTheyAre orelse not ram_model_scan:is_before(To, From) of
             true -> [From, To];
             false -> [To, From]
         end).

%% The same end twice is refused.
delete_bounds(Key) ->
    ?LET([From, To], bounds(Key),
         case From =:= To andalso lists:member(From, ['$first', '$last']) of
             true -> [From, {key, To}];
             false -> [From, To]
         end).

prefix(Keys) ->
    oneof([<<>>, <<"a">>, <<"a">>, [], [1], [1.0], {tuple, 2, []},
           {tuple, 2, [elements([1, 1.0, k])]},
           {tuple, range(0, 3), []}
           | [elements(Prefixes) || Prefixes <- [[Key || Key <- Keys,
                                                         is_binary(Key) orelse is_proper(Key)]],
                                    Prefixes =/= []]]).

is_proper(Term) -> is_list(Term) andalso try is_integer(length(Term)) catch error:_ -> false end.

%% Page after page, with writes after the first.
pages(Keys, Rev) ->
    Key = elements(Keys),
    More = [{reverse, boolean()}, {keys_only, boolean()} | fresh()],
    Scan = ?LET({{Function, Arguments, Options}, Limit},
                {?LET(Table, ordered_table(),
                      oneof([call_on(Table, to_list, [], More),
                             call_on(Table, keys, [], [{reverse, boolean()}]),
                             call_on(Table, select, [spec(Keys)], [{reverse, boolean()}]),
                             call_on(Table, range, bounds(Key), More),
                             call_on(Table, range, ['$first', '$last'], More),
                             call_on(Table, prefix, [prefix(Keys)], More)])),
                 range(1, 4)},
                {Function, Arguments, given(Options, #{limit => Limit})}),
    Writes = oneof([write(Key, Rev), many(Key), tables(),
                    ?LET(Ends, delete_bounds(Key), {delete_range, Ends, #{table => o}})]),
    {pages, Scan, oneof([range(1, 4), infinity]), few(Writes)}.

%%% Those that processes make at once, on two keys

%% @doc A kind of operations. Of updates that one node combines the revisions are one, so these are
%% not made where revisions are told.
at_once(revisions) ->
    {Key, Rev} = {elements([a, b]), 3},
    Step = frequency([{3, {fetch, default, Key}}, {3, {put, o, Key, value(), #{}}},
                      {3, {put, default, Key, value(), given()}},
                      {2, {range, o, '$first', '$last', #{}}}]),
    Transaction = {transaction, [few(Step)], #{retries => 1000}},
    frequency([{6, write_at_once(Key, Rev)}, {2, {lookup, [Key], none}}, {1, {ttl, [Key], none}},
               {3, {get_many, [[a, b]], none}}, {2, txn_at_once(Key, Rev)}, {3, Transaction},
               {1, {to_list, [], #{table => o}}}, {1, {delete_range, [a, Key], #{table => o}}},
               {1, {range, [Key, '$last'], #{table => o, reads => quorum}}},
               {3, {put_many, [[{a, value()}, {b, value()}]], #{return => rev}}},
               {1, {create_table, [t], #{type => ordered_set}}}, {1, {drop_table, [t], none}},
               {1, {put, [Key, value()], #{table => t, return => rev}}}]);
at_once(updates) ->
    Key = elements([a, b]),
    Changes = [{set, value()}, wrap, crash],
    frequency([{2, {put, [Key, value()], none}}, {2, {fetch, [Key], none}},
               {1, {get, [Key, none], none}}, {1, {delete, [Key], none}}, {1, {take, [Key], none}},
               {3, {update, [Key, value(), oneof(Changes)], none}},
               {3, {update, [Key, value(), oneof(Changes)], #{return => new}}},
               {4, {get_and_update, [Key, oneof([keep, delete, wrap | Changes])], none}},
               {2, {update_counter, [Key, range(-3, 3)], none}},
               {1, {put_new, [Key, value()], none}},
               {1, {get_many, [[a, b]], none}}, {1, {put_many, [[{a, 1}, {b, value()}]], none}},
               {2, {put, [Key, value()], #{ttl => 3600000}}}, {1, {touch, [Key, ttl()], none}},
               {2, {ttl, [Key], none}}]).

write_at_once(Key, Rev) ->
    Table = {table, elements([default, o])},
    oneof([call_on(default, put, [Key, value()], [return([rev, old]), Table, {ttl, ttl()}]),
           call_on(default, touch, [Key, ttl()], [Table]),
           {cas, [Key, expected(Rev), value()], none},
           {put_new, [Key, value()], none},
           call_on(default, delete, [Key], [return([rev, old]), {expect, expected(Rev)}]),
           call_on(default, take, [Key], [Table]),
           {get_and_update, [Key, oneof([keep, delete, wrap, {set, value()}])], none},
           {get_and_update, [Key, wrap], none},
           {update_counter, [Key, {range(-3, 3), 5, 0}, range(0, 1)], none}]).

txn_at_once(Key, Rev) ->
    Part = oneof([{get, Key}, {put, Key, value()}, {take, Key}, {in, o, {put, Key, value()}}]),
    {txn, [few(condition_at_once(Key, Rev)), [Part, Part], [Part]], none}.

condition_at_once(Key, Rev) ->
    oneof([{Key, absent}, {Key, present}, {Key, '=:=', value()}, {in, o, {Key, present}},
           {Key, rev, '<', rev(Rev)}]).

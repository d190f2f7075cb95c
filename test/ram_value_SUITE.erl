%% What the replicated state knows of values, without the virtual machine: which are the same, and
%% what a counter becomes. The judge is the virtual machine. A failure prints the seed;
%% RAM_SEED=<integer> runs the same cases again.
-module(ram_value_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0]).
-export([values_are_the_same_exactly_when_their_terms_are/1,
         a_term_is_one_value_in_whatever_way_it_is_written/1,
         bytes_near_a_value_are_judged_as_what_they_are_read_as/1,
         large_maps_are_the_same_in_any_order/1,
         local_funs_are_told_apart/1,
         counters_become_what_ets_makes_of_them/1,
         a_count_of_what_is_no_integer_is_refused/1]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).
-define(TERMS, ram_case:amount(4000, 20000)).
-define(SEED, range(0, 1 bsl 26)).

-import(proper_types, [oneof/1, range/2]).

suite() -> [{timetrap, {minutes, 2}}].

all() -> ram_case:all(?MODULE).

%%% The same

values_are_the_same_exactly_when_their_terms_are(_) ->
    check(?FORALL({{A, B}, SeedA, SeedB}, {ram_key_prop:pair(), ?SEED, ?SEED}, begin
        {ValueA, ValueB} = {ram_encodings:encode(A, SeedA), ram_encodings:encode(B, SeedB)},
        same(ValueA, ValueB) =:= are_identical(binary_to_term(ValueA), binary_to_term(ValueB))
            andalso same(term_to_binary(A), term_to_binary(B)) =:= are_identical(A, B)
    end)).

a_term_is_one_value_in_whatever_way_it_is_written(_) ->
    check(?FORALL({T, SeedA, SeedB}, {ram_terms:term(), ?SEED, ?SEED}, begin
        Values = [term_to_binary(T), term_to_binary(ram_key_prop:rebuild(T)),
                  ram_encodings:encode(T, SeedA), ram_encodings:encode(T, SeedB)],
        lists:all(fun(Value) -> binary_to_term(Value) =:= T end, Values)
            andalso lists:all(fun({A, B}) -> same(A, B) end, [{A, B} || A <- Values, B <- Values])
    end)).

%% Two edits of one value: often both are values still, and sometimes the same.
bytes_near_a_value_are_judged_as_what_they_are_read_as(_) ->
    Edit = {range(0, 1 bsl 20), range(0, 255), range(0, 3)},
    check(?FORALL({T, Seed, EditA, EditB}, {ram_terms:term(), ?SEED, Edit, Edit}, begin
        Value = ram_encodings:encode(T, Seed),
        [A, B] = [ram_key_prop:edit(Edited, Value) || Edited <- [EditA, EditB]],
        Same = same(A, B),
        case {read(A), read(B)} of
            _ when A =:= B -> Same;
            {{ok, TermA}, {ok, TermB}} ->
                Same =:= are_identical(TermA, TermB) orelse ram_key_prop:has_own_reference(TermA);
            _ -> is_boolean(Same)
        end
    end)).

large_maps_are_the_same_in_any_order(_) ->
    Map = maps:from_list([{{Key}, #{Key => "one", x => [Key]}} || Key <- lists:seq(1, 20000)]),
    [A, B] = [ram_encodings:encode(Map, Seed) || Seed <- [1, 2]],
    Changed = ram_encodings:encode(Map#{{7} := #{7 => "one", x => [8]}}, 3),
    ?assertNotEqual(A, B),
    ?assert(same(A, B)),
    ?assert(same(A, term_to_binary(Map))),
    ?assertNot(same(A, Changed)),
    InKeys = [ram_encodings:encode(#{Map => 1, Map#{0 => 0} => 2}, Seed) || Seed <- [1, 2]],
    ?assert(same(hd(InKeys), lists:last(InKeys))).

local_funs_are_told_apart(_) ->
    [One, Other] = [fun() -> N end || N <- [1, 2]],
    ?assert(same(term_to_binary({One, a}), term_to_binary({One, a}))),
    ?assert(same(term_to_binary({One, a}), <<131, 105, 2:32, (tail(One))/binary, 100, 1:16, $a>>)),
    ?assertNot(same(term_to_binary({One, a}), term_to_binary({Other, a}))).

tail(Term) ->
    <<131, External/binary>> = term_to_binary(Term),
    External.

read(Bytes) ->
    try binary_to_term(Bytes, [used]) of
        {Term, Used} when Used =:= byte_size(Bytes) -> {ok, Term};
        _ -> error
    catch
        error:badarg -> error
    end.

same(A, B) ->
    Same = ram_nif:value_same(A, B),
    ?assertEqual(Same, ram_nif:value_same(B, A)),
    Same.

%% Bit by bit: before OTP 27 the two zeros are identical.
are_identical(A, B) ->
    A =:= B andalso ram_key_prop:first_difference(A, B) =:= none.

%%% Counters

counters_become_what_ets_makes_of_them(_) ->
    Table = ets:new(counters, []),
    Limit = oneof([none, {integer(), integer()}]),
    Current = oneof([none, integer()]),
    check(?FORALL({Now, Incr, Default, Beyond, Seed}, {Current, integer(), integer(), Limit, ?SEED},
    begin
        Value = case Now of none -> none; _ -> ram_encodings:encode(Now, Seed) end,
        Expected = counted_by_ets(Table, Now, Incr, Default, Beyond),
        ram_nif:value_count(Value, Incr, Default, Beyond) =:= term_to_binary(Expected)
    end)).

counted_by_ets(Table, Now, Incr, Default, Beyond) ->
    true = ets:delete_all_objects(Table),
    [true = ets:insert(Table, {counter, Now}) || Now =/= none],
    Operation = case Beyond of
                    none -> {2, Incr};
                    {Threshold, SetTo} -> {2, Incr, Threshold, SetTo}
                end,
    ets:update_counter(Table, counter, Operation, {counter, Default}).

%% Small ones too, so that thresholds are hit and missed by one.
integer() ->
    oneof([range(-3, 3), ?LET(Number, ram_terms:number(), trunc(Number))]).

a_count_of_what_is_no_integer_is_refused(_) ->
    check(?FORALL({T, Seed}, {ram_terms:term(), ?SEED},
        is_integer(T) =:= (ram_nif:value_count(ram_encodings:encode(T, Seed), 1, 0, none) =/= none)
    )),
    [?assertError(badarg, ram_nif:value_count(none, Incr, Default, Limit))
     || {Incr, Default, Limit} <- [{a, 0, none}, {1.0, 0, none}, {1, [], none},
                                   {1, 0, {a, 1}}, {1, 0, {1, 1.5}}, {<<1>>, 0, none}]].

%% Not shrunk: these terms are small, and PropEr takes all memory to shrink what is this nested.
check(Property) ->
    ram_property:check(Property, ?TERMS, [noshrink]).

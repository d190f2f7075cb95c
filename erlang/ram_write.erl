%% Writes, made and awaited in the calling process; called by ram, and by ram_txn for those that are
%% given as data. Counterpart of request/write.rs and request/transaction.rs.
%%
%% A plain put or delete is a batch of one, which is cheapest. A write that expects something, or
%% tells what was there, is a transaction. One that runs a fun reads, and then expects what it read.
%%
%% All take the call of ram that is answered, for what they raise.
-module(ram_write).

-export([put/2, put/4, put_new/4, cas/5, touch/4, delete/1, delete/3, take/3]).
-export([update/5, get_and_update/4, update_counter/5]).
-export([put_many/3, delete_many/3, delete_range/4]).
-export([create_table/3, drop_table/2, change_table/2]).
-export([target/2, run/4, failed/3]).
-export_type([target/0, condition/0, command/0, held/0]).

%% Values above this, and transactions of more, are copied on a dirty scheduler.
-define(LARGE_BYTES, 262144).
%% What a part of a transaction costs beside its value.
-define(PART_BYTES, 8192).
%% The longest time that a process can wait, of 49 days.
-define(FOREVER_MS, 16#FFFFFFFF).

-type target() :: {ram_nif:member(), TimeoutMs :: non_neg_integer(), Table :: binary()}.
-type condition() :: ram_nif:condition().
-type command() :: ram_nif:command().
-type held() :: ram_nif:held().
-type call() :: ram_error:call().

%%% One key

-spec put(term(), term()) -> ok.
put(Key, Value) ->
    Call = {put, [Key, Value]},
    _Revision = plain({put, none, Key, term_to_binary(Value)}, target(#{}, Call), Call),
    ok.

-spec put(term(), term(), map(), call()) -> ram:written().
put(Key, Value, Options, Call) ->
    Checked = ram_arguments:call_options(Options, ram_owned:options(written()), Call),
    one(put_of(Key, Value, Checked, Call), Checked, Call).

-spec put_new(term(), term(), map(), call()) -> boolean().
put_new(Key, Value, Options, Call) ->
    Checked = ram_arguments:call_options(Options, ram_owned:options(#{}), Call),
    {Target, Put} = {target(Checked, Call), put_of(Key, Value, Checked, Call)},
    {IsNew, _, []} = transaction(Target, [{none, Key, absent}], [Put], [], Call),
    IsNew.

-spec cas(term(), term(), term(), map(), call()) -> ram:written().
cas(Key, Expected, Value, Options, Call) ->
    ok = ram_arguments:argument(Expected, 2, fun ram_arguments:expected/1, Call),
    Checked = ram_arguments:call_options(Options, ram_owned:options(#{}), Call),
    one(put_of(Key, Value, Checked, Call), Checked#{expect => Expected, return => rev}, Call).

put_of(Key, Value, Options, Call) ->
    {Member, TimeoutMs, _Table} = target(Options, Call),
    Position = length(ram_error:arguments(Call)),
    Beside = ram_owned:beside(Options, {Member, TimeoutMs}, Position, "", Call),
    list_to_tuple([put, none, Key, term_to_binary(Value) | Beside]).

-spec touch(term(), term(), map(), call()) -> boolean().
touch(Key, Ttl, Options, Call) ->
    ok = ram_arguments:argument(Ttl, 2, fun ram_arguments:ttl/1, Call),
    Target = target(ram_arguments:call_options(Options, #{}, Call), Call),
    Touch = [{touch, none, Key, Ttl}],
    {IsThere, _, []} = transaction(Target, [{none, Key, present}], Touch, [], Call),
    IsThere.

-spec delete(term()) -> ok.
delete(Key) ->
    Call = {delete, [Key]},
    _Revision = plain({delete, none, Key}, target(#{}, Call), Call),
    ok.

-spec delete(term(), map(), call()) -> ram:written().
delete(Key, Options, Call) ->
    one({delete, none, Key}, ram_arguments:call_options(Options, written(), Call), Call).

-spec take(term(), map(), call()) -> {ok, term()} | error.
take(Key, Options, Call) ->
    Checked = ram_arguments:call_options(Options, #{}, Call),
    one({delete, none, Key}, Checked#{return => old}, Call).

written() ->
    #{return => ram_arguments:one_of([ok, rev, old]), expect => fun ram_arguments:expected/1}.

one(Change, #{expect := Expected} = Options, Call) ->
    Key = element(3, Change),
    Return = maps:get(return, Options, ok),
    Condition = {none, Key, condition(Expected)},
    Target = target(Options, Call),
    case transaction(Target, [Condition], looking(Return, Change), [{get, none, Key}], Call) of
        {true, Revision, Held} -> returned(Return, Revision, Held, Key, Call);
        {false, _Revision, [Held]} -> {conflict, current(Held, Key, Target, Call)}
    end;
one(Change, Options, Call) ->
    Key = element(3, Change),
    Return = maps:get(return, Options, ok),
    case looking(Return, Change) of
        [Change] ->
            returned(Return, plain(Change, target(Options, Call), Call), [], Key, Call);
        Commands ->
            {true, Revision, Held} = transaction(target(Options, Call), [], Commands, [], Call),
            returned(Return, Revision, Held, Key, Call)
    end.

%% With a look at what was there, where the answer tells of it.
looking(ok, Change) -> [Change];
looking(rev, Change) when element(1, Change) =:= put -> [Change];
looking(_Return, Change) -> [{get, none, element(3, Change)}, Change].

returned(ok, _Revision, _Held, _Key, _Call) -> ok;
returned(_Return, _Revision, [none], _Key, _Call) -> error;
returned(rev, Revision, _Held, _Key, _Call) -> {ok, Revision};
returned(old, _Revision, [Held], Key, Call) ->
    {ok, ram_request:decoded(element(1, Held), Key, unreadable_result, Call)}.

current(none, _Key, _Target, _Call) ->
    error;
current({Binary, Revision, Created, Version, Ttl, Owner}, Key, Target, Call) ->
    Left = ram_lookup:left(Target, Key, {Revision, Ttl}),
    Meta = ram_request:meta({Revision, Created, Version, Left, Owner}),
    {ok, ram_request:decoded(Binary, Key, Call), Meta}.

condition({value, Value}) -> {value, term_to_binary(Value)};
condition({rev, Revision}) -> {rev, '=', Revision};
condition(AbsentOrPresent) -> AbsentOrPresent.

%%% With a fun, or a count

-spec update(term(), term(), fun((term()) -> term()), map(), call()) ->
          ok | {ok, term() | ram:rev()}.
update(Key, Default, Fun, Options, Call) ->
    Checks = #{return => ram_arguments:one_of([ok, new, rev]),
               retries => fun ram_arguments:retries/1},
    Checked = ram_arguments:call_options(Options, Checks, Call),
    Target = target(Checked, Call),
    Change = fun(Held) ->
                     New = case Held of
                               none -> term_to_binary(Default);
                               _ -> term_to_binary(Fun(ram_request:decoded(Held, Key, Call)))
                           end,
                     {New, New}
             end,
    case {changed(Key, Change, Target, Checked, Call), Checked} of
        {{_Revision, New}, #{return := new}} -> {ok, binary_to_term(New)};
        {{Revision, _New}, #{return := rev}} -> {ok, Revision};
        {{_Revision, _New}, #{}} -> ok
    end.

-spec get_and_update(term(), fun(({ok, term()} | error) -> tuple()), map(), call()) -> term().
get_and_update(Key, Fun, Options, Call) ->
    Checked = ram_arguments:call_options(Options, #{retries => fun ram_arguments:retries/1}, Call),
    Change = fun(Held) ->
                     Value = case Held of
                                 none -> error;
                                 _ -> {ok, ram_request:decoded(Held, Key, Call)}
                             end,
                     decided(Fun(Value), Held, Call)
             end,
    {_Revision, Reply} = changed(Key, Change, target(Checked, Call), Checked, Call),
    Reply.

decided({put, New, Reply}, _Held, _Call) -> {term_to_binary(New), Reply};
decided({delete, Reply}, none, _Call) -> {keep, Reply};
decided({delete, Reply}, _Held, _Call) -> {none, Reply};
decided({keep, Reply}, _Held, _Call) -> {keep, Reply};
decided(Other, _Held, Call) ->
    ram_arguments:wrong(Call, 2, "must return {put, New, Reply}, {delete, Reply} or "
                        "{keep, Reply}, and returned ~0tP", [Other, 12]).

changed(Key, Change, {_, TimeoutMs, Table} = Target, Options, Call) ->
    Limits = {TimeoutMs, maps:get(retries, Options, infinity)},
    case ram_update:run({Table, Key}, Limits, access(Key, Target), Change) of
        {ok, Revision, Result} -> {Revision, Result};
        {error, conflict} -> ram_error:failure({conflict, Key}, Call);
        {error, _} = Error -> ram_request:checked(Error, Call)
    end.

access(Key, {Member, _TimeoutMs, Table} = Target) ->
    #{read => fun(LimitMs) -> ram_lookup:encoded(within(LimitMs, Target), Key) end,
      set => fun(Expect, New, LimitMs) -> set(within(LimitMs, Target), Key, Expect, New) end,
      turn => fun(LimitMs) ->
                      Wait = fun(Ref) -> ram_nif:turn(Member, Ref, Table, Key, LimitMs) end,
                      ram_request:call(Member, Wait, LimitMs)
              end,
      give_back => fun() -> ram_nif:give_turn_back(Member, Table, Key) end}.

set(Target, Key, Expect, New) ->
    Changes = case New of
                  none -> [{delete, none, Key}];
                  {renewed, Binary} -> [{delete, none, Key}, {put, none, Key, Binary}];
                  Binary -> [{put, none, Key, Binary, keep}]
              end,
    case run(Target, [{none, Key, expect(Expect)}], Changes, [{get, none, Key}]) of
        {ran, true, Revision, []} -> {ok, Revision};
        {ran, false, _, [none]} -> {conflict, none};
        {ran, false, _, [{Found, Of, _, _, _, _}]} -> {conflict, {Found, Of}};
        {error, _} = Error -> Error
    end.

expect(Revision) when is_integer(Revision) -> {rev, '=', Revision};
expect(AbsentOrValue) -> AbsentOrValue.

-spec update_counter(term(), ram:count(), integer(), map(), call()) -> integer().
update_counter(Key, Count, Default, Options, Call) ->
    ok = ram_arguments:argument(Count, 2, fun ram_arguments:count/1, Call),
    ok = ram_arguments:argument(Default, 3, fun ram_arguments:integer/1, Call),
    Target = target(ram_arguments:call_options(Options, #{}, Call), Call),
    {Increment, Limit} = case Count of
                             {Step, Threshold, SetTo} -> {Step, {Threshold, SetTo}};
                             Step -> {Step, none}
                         end,
    Command = {count, none, Key, Increment, Default, Limit},
    {true, _, [{New, _, _, _, _, _}]} = transaction(Target, [], [Command], [], Call),
    binary_to_term(New).

%%% Several keys

%% @doc In the order of the list, so the last value of a key stays.
-spec put_many(term(), map(), call()) -> ok | {ok, ram:rev()}.
put_many(Entries, Options, Call) ->
    Checked = many(Options, #{ttl => fun ram_arguments:ttl/1}, Call),
    Pairs = ram_arguments:entries(Entries, Call),
    write_many([{Key, term_to_binary(Value)} || {Key, Value} <- Pairs], [], Checked, Call).

-spec delete_many(term(), map(), call()) -> ok | {ok, ram:rev()}.
delete_many(Keys, Options, Call) ->
    Checked = many(Options, #{}, Call),
    write_many([], ram_arguments:keys(Keys, Call), Checked, Call).

many(Options, Checks, Call) ->
    Return = ram_arguments:one_of([ok, rev]),
    ram_arguments:call_options(Options, Checks#{return => Return}, Call).

write_many([], [], Options, Call) when Options =:= #{} ->
    _ = ram_request:running(Call),
    ok;
write_many([], [], Options, Call) ->
    {true, Revision, []} = transaction(target(Options, Call), [], [], [], Call),
    returned(maps:get(return, Options, ok), Revision, [], none, Call);
write_many(Puts, Deletes, Options, Call) ->
    {Member, TimeoutMs, Table} = target(Options, Call),
    Put = {Puts, maps:get(ttl, Options, infinity)},
    Write = fun(Ref) -> ram_nif:write_many(Member, Ref, Table, Put, Deletes, TimeoutMs) end,
    {ok, Revision} = ram_request:checked(ram_request:call(Member, Write, TimeoutMs), Call),
    returned(maps:get(return, Options, ok), Revision, [], none, Call).

-spec delete_range(term(), term(), map(), call()) -> non_neg_integer().
delete_range(End, End, _Options, Call) when End =:= '$first'; End =:= '$last' ->
    ram_error:badarg(Call, 2, "must be a key or the other end of the table");
delete_range(From, To, Options, Call) ->
    {Member, TimeoutMs, Table} = target(ram_arguments:call_options(Options, #{}, Call), Call),
    Bounds = ram_scan:bounds(From, To),
    Delete = fun(Ref) -> ram_nif:delete_range(Member, Ref, Table, Bounds, TimeoutMs) end,
    case ram_request:call(Member, Delete, TimeoutMs) of
        {deleted, _Revision, Count} -> Count;
        {error, {bad_key, Why}} ->
            Position = case ram_request:is_key(From) of true -> 2; false -> 1 end,
            ram_request:bad_key(Why, Position, "", Call);
        {error, _} = Error -> ram_request:checked(Error, Call)
    end.

%%% Tables

-spec create_table(term(), map(), call()) -> ok | {error, exists}.
create_table(Name, Options, Call) ->
    ok = ram_arguments:argument(Name, 1, fun ram_arguments:table/1, Call),
    Checks = #{type => ram_arguments:one_of([set, ordered_set]),
               timeout => fun ram_arguments:timeout/1},
    Checked = ram_arguments:options(Options, Checks, Call),
    Type = maps:get(type, Checked, set),
    case change_table({create, ram_options:table(Name), Type}, target(Checked, Call)) of
        {ok, _Revision} -> ok;
        {error, exists} -> {error, exists};
        {error, _} = Error -> ram_request:checked(Error, Call)
    end.

-spec drop_table(term(), call()) -> ok | {error, no_table}.
drop_table(default, Call) ->
    ram_error:badarg(Call, 1, "must be another table than default, which is always there");
drop_table(Name, Call) ->
    ok = ram_arguments:argument(Name, 1, fun ram_arguments:table/1, Call),
    case change_table({drop, ram_options:table(Name)}, target(#{}, Call)) of
        {ok, _Revision} -> ok;
        {error, {no_table, _}} -> {error, no_table};
        {error, _} = Error -> ram_request:checked(Error, Call)
    end.

%% @doc Makes or drops a table, whoever's it is.
-spec change_table({create, binary(), set | ordered_set} | {drop, binary()}, target()) ->
          {ok, ram:rev()} | {error, term()}.
change_table(Change, {Member, TimeoutMs, _Table}) ->
    Submit = fun(Ref) -> ram_nif:change_table(Member, Ref, Change, TimeoutMs) end,
    ram_request:call(Member, Submit, TimeoutMs).

%%% Requests

%% @doc Where the options send a write, and for how long it is waited for.
-spec target(map(), call()) -> target().
target(Options, Call) ->
    {Member, ConfiguredMs, _Reads} = ram_request:running(Call),
    TimeoutMs = case Options of
                    #{timeout := infinity} -> ?FOREVER_MS;
                    #{timeout := Ms} -> Ms;
                    #{} -> ConfiguredMs
                end,
    {Member, TimeoutMs, ram_options:table(maps:get(table, Options, default))}.

within(LimitMs, {Member, _TimeoutMs, Table}) ->
    {Member, LimitMs, Table}.

%% Returns its revision.
plain({put, none, Key, Binary}, {Member, TimeoutMs, Table}, Call) ->
    Put = fun(Ref, Encoded) when byte_size(Binary) > ?LARGE_BYTES ->
                  ram_nif:put_large(Member, Ref, Table, Encoded, Binary, TimeoutMs);
             (Ref, Encoded) ->
                  ram_nif:put(Member, Ref, Table, Encoded, Binary, TimeoutMs)
          end,
    {ok, Revision} = ram_request:checked(ram_request:call(Member, Key, Put, TimeoutMs), Call),
    Revision;
plain({delete, none, Key}, {Member, TimeoutMs, Table}, Call) ->
    Delete = fun(Ref, Encoded) -> ram_nif:delete(Member, Ref, Table, Encoded, TimeoutMs) end,
    {ok, Revision} = ram_request:checked(ram_request:call(Member, Key, Delete, TimeoutMs), Call),
    Revision;
plain(Change, Target, Call) ->
    {true, Revision, []} = transaction(Target, [], [Change], [], Call),
    Revision.

%% @doc Runs a transaction; the results are those of gets and counts.
-spec run(target(), [condition()], [command()], [command()]) ->
          {ran, Succeeded :: boolean(), ram:rev(), [none | held()]} | {error, term()}.
run(Target, Conditions, Then, Otherwise) ->
    Bytes = lists:sum([bytes(Part) || Part <- Conditions ++ Then ++ Otherwise]),
    Submit = case Bytes > ?LARGE_BYTES of
                 true -> fun ram_nif:transaction_large/5;
                 false -> fun ram_nif:transaction/5
             end,
    run(Submit, Target, Conditions, Then, Otherwise).

run(Submit, {Member, TimeoutMs, Table} = Target, Conditions, Then, Otherwise) ->
    Parts = {Conditions, Then, Otherwise},
    Request = fun(Ref) -> Submit(Member, Ref, Table, Parts, TimeoutMs) end,
    case ram_request:call(Member, Request, TimeoutMs) of
        {error, {bad_key, long}} ->
            run(fun ram_nif:transaction_large/5, Target, Conditions, Then, Otherwise);
        {ran, Succeeded, _Revision, forgotten} ->
            Ran = case Succeeded of true -> Then; false -> Otherwise end,
            case lists:all(fun(Command) -> element(1, Command) =:= get end, Ran) of
                true -> run(Submit, Target, Conditions, Then, Otherwise);
                false -> {error, timeout}
            end;
        Answer ->
            Answer
    end.

bytes({put, _, _, Binary}) -> ?PART_BYTES + byte_size(Binary);
bytes({put, _, _, Binary, _}) -> ?PART_BYTES + byte_size(Binary);
bytes({put, _, _, Binary, _, Owner}) -> ?PART_BYTES + byte_size(Binary) + byte_size(Owner);
bytes({_, _, {value, Binary}}) -> ?PART_BYTES + byte_size(Binary);
bytes({count, _, _, Increment, _, _} = Count) when not is_integer(Increment);
                                                   abs(Increment) > 1 bsl 60 ->
    ?PART_BYTES + erlang:external_size(Count);
bytes(_Part) -> ?PART_BYTES.

transaction(Target, Conditions, Then, Otherwise, Call) ->
    case run(Target, Conditions, Then, Otherwise) of
        {ran, Succeeded, Revision, Results} -> {Succeeded, Revision, Results};
        {error, Reason} -> failed(Reason, Then ++ Otherwise, Call)
    end.

%% @doc Raises what a transaction of these commands failed with.
-spec failed(term(), [command()], call()) -> no_return().
failed({not_an_integer, Index}, Commands, Call) ->
    ram_error:failure({not_an_integer, element(3, lists:nth(Index + 1, Commands))}, Call);
failed(Reason, _Commands, Call) ->
    ram_request:checked({error, Reason}, Call).

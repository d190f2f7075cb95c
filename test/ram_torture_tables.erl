%% What clients of a torture run do with several keys at once: transfers between the accounts of a
%% bank and looks at all of them, and transactions that read lists and append to them; in all the
%% ways that the API has: transactions, txn, reads of several keys, scans page by page. Used by
%% ram_torture_client, whose files have a line before each call and a line after it:
%%
%%     i OP open KEY=N ... T | i OP transfer FROM TO N T | i OP look T | i OP lists STEP ... T
%%     r OP ok [KEY=N ...] T | r OP ok [KEY=LIST ...] T | r OP unknown T | r OP failed T
%%
%% A step is KEY for a read and KEY+N for an append; all numbers of a list are different.
%%
%% The bank is a set or ordered, as the seed has it. Lists are ordered and live for two seconds, so
%% that they stay short; those of one time begin alike and are also read as a range.
-module(ram_torture_tables).
-behaviour(ram_torture_client).

-export([create/1, opening/0, operation/2, last/2, words/1, answer/2, perform/1]).
-export_type([operation/0]).

-type step() :: {read, binary()} | {append, binary(), integer()}.
-type operation() :: open | look | {transfer, binary(), binary(), pos_integer()}
                   | {lists, [step()]}.

-define(BANK, #{table => bank}).
-define(LISTS, #{table => lists}).
-define(ACCOUNTS, [<<"a1">>, <<"a2">>, <<"a3">>, <<"a4">>, <<"a5">>]).
-define(BALANCE, 20).
-define(AMOUNT_MAX, 12).
-define(LISTS_AT_ONCE, 3).
-define(EPOCH_NS, 2000000000).
-define(PAGE, 2).

%% @doc Before any client begins.
-spec create(integer()) -> ok.
create(Seed) ->
    Type = case Seed rem 2 of 0 -> set; _ -> ordered_set end,
    ok = ram:create_table(bank, #{type => Type}),
    ok = ram:create_table(lists, #{type => ordered_set}).

-spec opening() -> [operation()].
opening() -> [open].

%% @doc What a client of this name does next, so long after the run began.
-spec operation(string(), non_neg_integer()) -> operation().
operation(Client, PassedNs) ->
    case rand:uniform(10) of
        N when N =< 2 ->
            look;
        N when N =< 5 ->
            [From, To | _] = shuffled(?ACCOUNTS),
            {transfer, From, To, rand:uniform(?AMOUNT_MAX)};
        N when N =< 7 ->
            {lists, [{read, Key} || Key <- shuffled(lists_of(epoch(PassedNs)))]};
        _ ->
            Number = PassedNs * 1000 + erlang:phash2(Client, 1000),
            {lists, steps(shuffled(lists_of(epoch(PassedNs))), Number)}
    end.

%% Reads, then appends to some of what was read, then reads of the rest.
steps(Keys, Number) ->
    {First, Rest} = lists:split(rand:uniform(length(Keys)), Keys),
    Appended = lists:sublist(First, rand:uniform(2)),
    [{read, Key} || Key <- First] ++ [{append, Key, Number} || Key <- Appended]
        ++ [{read, Key} || Key <- Rest].

%% @doc What shows at the end of a run what came of it.
-spec last(ram_torture_client:ask(), non_neg_integer()) -> ok.
last(Ask, PassedNs) ->
    Reads = [{lists, [{read, Key} || Key <- lists_of(Epoch)]}
             || Epoch <- lists:seq(0, epoch(PassedNs))],
    lists:foreach(Ask, [look | Reads]).

epoch(PassedNs) -> PassedNs div ?EPOCH_NS.

begin_of(Epoch) -> iolist_to_binary(io_lib:format("~5..0b.", [Epoch])).

lists_of(Epoch) ->
    Begin = begin_of(Epoch),
    [<<Begin/binary, $l, ($0 + N)>> || N <- lists:seq(1, ?LISTS_AT_ONCE)].

shuffled(List) ->
    [Element || {_, Element} <- lists:sort([{rand:uniform(), Element} || Element <- List])].

%%% In the words of the file

-spec words(operation()) -> [binary()].
words(open) -> [<<"open">> | [pair(Account, ?BALANCE) || Account <- ?ACCOUNTS]];
words(look) -> [<<"look">>];
words({transfer, From, To, N}) -> [<<"transfer">>, From, To, integer_to_binary(N)];
words({lists, Steps}) -> [<<"lists">> | [step(Step) || Step <- Steps]].

step({read, Key}) -> Key;
step({append, Key, Number}) -> <<Key/binary, $+, (integer_to_binary(Number))/binary>>.

%% @doc The words of what perform/1 returned.
-spec answer(operation(), term()) -> [binary()].
answer(look, []) -> [<<"-">>];
answer(look, Balances) -> [pair(Account, N) || {Account, N} <- lists:sort(Balances)];
answer({lists, Steps}, Lists) ->
    Read = [Key || {read, Key} <- Steps],
    [<<Key/binary, $=, (list(List))/binary>> || {Key, List} <- lists:zip(Read, Lists)].

pair(Key, N) -> <<Key/binary, $=, (integer_to_binary(N))/binary>>.

list([]) -> <<"-">>;
list(Numbers) -> iolist_to_binary(lists:join($,, [integer_to_binary(N) || N <- Numbers])).

%%% Doing it

%% @doc `failed' when certainly nothing happened. What ram raises is for the caller.
-spec perform(operation()) -> ok | {ok, term()} | failed.
perform(open) ->
    done(ram:txn([{Account, absent} || Account <- ?ACCOUNTS],
                 [{put, Account, ?BALANCE} || Account <- ?ACCOUNTS], [], ?BANK));
perform(look) ->
    {ok, look(rand:uniform(5))};
perform({transfer, From, To, N}) ->
    transfer(rand:uniform(2), From, To, N);
perform({lists, Steps}) ->
    case lists:keymember(append, 1, Steps) of
        true -> append(rand:uniform(3), Steps);
        false -> {ok, read(rand:uniform(5), [Key || {read, Key} <- Steps])}
    end.

done({true, _Results, _Revision}) -> ok;
done({false, _Results, _Revision}) -> failed.

ended({ok, _}) -> ok;
ended({aborted, _}) -> failed.

transfer(1, From, To, N) ->
    ended(ram:transaction(fun(Tx) ->
        Has = ram_tx:get(Tx, From, 0, ?BANK),
        Has >= N orelse ram_tx:abort(Tx, too_little),
        ok = ram_tx:put(Tx, From, Has - N, ?BANK),
        ok = ram_tx:put(Tx, To, ram_tx:get(Tx, To, none, ?BANK) + N, ?BANK)
    end));
transfer(2, From, To, N) ->
    case ram:get(From, 0, ?BANK) of
        Has when Has >= N ->
            done(ram:txn([{From, '=:=', Has}],
                         [{update_counter, From, -N}, {update_counter, To, N}], [], ?BANK));
        _ ->
            failed
    end.

look(1) -> maps:to_list(ram:get_many(?ACCOUNTS, ?BANK));
look(2) -> present(?ACCOUNTS, gets(?ACCOUNTS, ?BANK));
look(3) -> pages(fun ram:to_list/1, ?BANK);
look(4) -> ram:fold(fun(Entry, Entries) -> [Entry | Entries] end, [], ?BANK);
look(5) ->
    {ok, Found} = ram:transaction(fun(Tx) ->
        [ram_tx:fetch(Tx, Account, ?BANK) || Account <- ?ACCOUNTS]
    end),
    present(?ACCOUNTS, Found).

gets(Keys, Options) ->
    {true, Found, _} = ram:txn([], [{get, Key} || Key <- Keys], [], Options),
    Found.

present(Keys, Found) ->
    [{Key, Value} || {Key, {ok, Value}} <- lists:zip(Keys, Found)].

%% Writes go on between two pages.
pages(Scan, Options0) ->
    Options = Options0#{limit => ?PAGE},
    pages(Scan, Options, Scan(Options)).

pages(_Scan, _Options, {Entries, done}) ->
    Entries;
pages(Scan, Options, {Entries, Continuation}) ->
    receive after rand:uniform(3) - 1 -> ok end,
    Entries ++ pages(Scan, Options, Scan(Options#{continuation => Continuation})).

%% What each of these lists holds.
read(1, Keys) -> found(Keys, maps:to_list(ram:get_many(Keys, ?LISTS)));
read(2, Keys) -> found(Keys, present(Keys, gets(Keys, ?LISTS)));
read(3, [Key | _] = Keys) ->
    Begin = binary:part(Key, 0, byte_size(Key) - 2),
    found(Keys, pages(fun(Options) -> ram:prefix(Begin, Options) end, ?LISTS));
read(4, Keys) ->
    found(Keys, ram:range(lists:min(Keys), lists:max(Keys), ?LISTS));
read(5, Keys) ->
    {ok, Found} = ram:transaction(fun(Tx) -> range(Tx, Keys) end),
    found(Keys, Found).

found(Keys, Entries) ->
    Of = maps:from_list(Entries),
    [maps:get(Key, Of, []) || Key <- Keys].

range(Tx, Keys) ->
    ram_tx:range(Tx, lists:min(Keys), lists:max(Keys), ?LISTS).

%% One transaction, step by step; in the second way what is read first is read as a range.
append(1, Steps) ->
    transacted(ram:transaction(fun(Tx) -> steps(Tx, Steps, []) end));
append(2, Steps) ->
    {Read, Rest} = lists:splitwith(fun(Step) -> element(1, Step) =:= read end, Steps),
    Keys = [Key || {read, Key} <- Read],
    transacted(ram:transaction(fun(Tx) ->
        Found = found(Keys, range(Tx, Keys)),
        Found ++ steps(Tx, Rest, [])
    end));
append(3, Steps) ->
    {Read, Rest} = lists:splitwith(fun(Step) -> element(1, Step) =:= read end, Steps),
    Found = ram:get_many([Key || {read, Key} <- Read], ?LISTS),
    Before = [maps:get(Key, Found, []) || {read, Key} <- Read],
    If = [case Found of #{Key := List} -> {Key, '=:=', List}; #{} -> {Key, absent} end
          || {read, Key} <- Read],
    Then = [case Step of
                {append, Key, Number} -> {put, Key, maps:get(Key, Found, []) ++ [Number]};
                {read, Key} -> {get, Key}
            end || Step <- Rest],
    case ram:txn(If, Then, [], ?LISTS) of
        {true, Results, _} -> {ok, Before ++ [list_of(Got) || Got <- Results, Got =/= ok]};
        {false, _, _} -> failed
    end.

list_of({ok, List}) -> List;
list_of(error) -> [].

transacted({ok, Read}) -> {ok, Read};
transacted({aborted, _}) -> failed.

steps(_Tx, [], Read) ->
    lists:reverse(Read);
steps(Tx, [{read, Key} | Steps], Read) ->
    steps(Tx, Steps, [ram_tx:get(Tx, Key, [], ?LISTS) | Read]);
steps(Tx, [{append, Key, Number} | Steps], Read) ->
    ok = ram_tx:put(Tx, Key, ram_tx:get(Tx, Key, [], ?LISTS) ++ [Number], ?LISTS),
    steps(Tx, Steps, Read).
